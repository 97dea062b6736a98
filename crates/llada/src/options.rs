//! How a model is opened: where it runs, in which precision, and with which adapter.

use std::path::{Path, PathBuf};

use llada_model::{Adapter, Device, Precision, Transformer};

use crate::{Error, Model, checkpoint::default_precision};

/// The options of opening a model. [`Model::options`] starts with the defaults.
///
/// ```
/// use llada::{Device, Dtype, Model};
///
/// let model = Model::options().device(Device::Cpu).precision(Dtype::Bf16).open("models/llada-tiny")?;
/// assert_eq!(model.engine().predictor().precision(), Dtype::Bf16.into());
/// # Ok::<(), llada::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct OpenOptions {
    device: Device,
    precision: Option<Precision>,
    adapter: Option<PathBuf>,
    without_cuda_graphs: bool,
}

impl OpenOptions {
    /// Runs the model on `device`; on the processor, unless this is called.
    pub fn device(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Computes in `precision`, which may be a [`Dtype`](crate::Dtype), or in what the device has in place of it
    /// ([`Precision::on`]); in the [`default_precision`] of the checkpoint, unless this is called.
    pub fn precision(self, precision: impl Into<Precision>) -> Self {
        Self { precision: Some(precision.into()), ..self }
    }

    /// Opens the model with the LoRA adapter `adapter`, in peft's format: a folder, or the name of an adapter in the Hugging
    /// Face cache. It is computed beside the weights, which stay as they are.
    pub fn adapter(self, adapter: impl Into<PathBuf>) -> Self {
        Self { adapter: Some(adapter.into()), ..self }
    }

    /// Launches the kernels of every step one by one on a GPU ([`Transformer::without_cuda_graphs`]).
    pub fn without_cuda_graphs(self) -> Self {
        Self { without_cuda_graphs: true, ..self }
    }

    /// Opens a model: a folder with `config.json`, safetensors weights and `tokenizer.json`, or the name of a model in
    /// the Hugging Face cache, such as `llada-8b-instruct` or `OWNER/NAME`.
    ///
    /// A folder without `tokenizer.json` opens too; such a model works on ids alone.
    ///
    /// # Errors
    /// The model is not found, a file of it or of the adapter cannot be worked with, or the device is not there.
    pub fn open(self, model: impl AsRef<Path>) -> Result<Model, Error> {
        let folder = llada_hub::checkpoint(model.as_ref())?;
        let network = self.load(&folder)?;
        Model::new(folder, network)
    }

    /// Loads the network alone out of a checkpoint's folder, without what stands beside its weights: it may emit ids
    /// that no token has.
    ///
    /// # Errors
    /// The config, the weights or the adapter cannot be worked with, or the device is not there.
    pub fn load(self, folder: &Path) -> Result<Transformer, Error> {
        let precision = match self.precision {
            Some(precision) => precision,
            None => default_precision(folder, self.device)?,
        };
        let network = match self.adapter {
            None => Transformer::load(folder, self.device, precision)?,
            Some(adapter) => Transformer::load_with_adapter(folder, &Adapter::open(&adapter)?, self.device, precision)?,
        };
        Ok(if self.without_cuda_graphs { network.without_cuda_graphs() } else { network })
    }
}
