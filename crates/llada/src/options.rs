//! How a model is opened: where it runs, and in which precision.

use std::path::Path;

use llada_model::{Device, Precision, Transformer};

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
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct OpenOptions {
    device: Device,
    precision: Option<Precision>,
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

    /// Opens a model: a folder with `config.json`, safetensors weights and `tokenizer.json`, or the name of a model in
    /// the Hugging Face cache, such as `llada-8b-instruct` or `OWNER/NAME`.
    ///
    /// A folder without `tokenizer.json` opens too; such a model works on ids alone.
    ///
    /// # Errors
    /// The model is not found, a file of it cannot be worked with, or the device is not there.
    pub fn open(self, model: impl AsRef<Path>) -> Result<Model, Error> {
        let folder = llada_hub::checkpoint(model.as_ref())?;
        let network = self.load(&folder)?;
        Model::new(folder, network)
    }

    /// Loads the network alone out of a checkpoint's folder, without what stands beside its weights: it may emit ids
    /// that no token has.
    ///
    /// # Errors
    /// The config or the weights cannot be worked with, or the device is not there.
    pub fn load(self, folder: &Path) -> Result<Transformer, Error> {
        let precision = match self.precision {
            Some(precision) => precision,
            None => default_precision(folder, self.device)?,
        };
        Ok(Transformer::load(folder, self.device, precision)?)
    }
}
