//! From mapped files to layers: each tensor is fetched by name and shape, converted at most once, and its pages given
//! back as soon as a copy exists, so that memory never holds the weights twice.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::{
    LladaConfig, ModelError, Precision, Weights,
    layers::{
        block::Source,
        linear::{Layout, Linear},
        norm::RmsNorm,
    },
    names,
    torch::{
        int8::Quantized,
        tensor::{map, sizes},
    },
    weights::MappedTensor,
};

pub(crate) struct Loader<'a> {
    config: &'a LladaConfig,
    weights: Weights,
    kind: Kind,
    device: Device,
    layout: Layout,
    /// What tensors that are used as stored live in.
    mapped: Vec<MappedTensor>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        folder: &Path,
        config: &'a LladaConfig,
        precision: Precision,
        device: Device,
    ) -> Result<Self, ModelError> {
        let weights = Weights::of(folder, config)?;
        let layout = Layout::of(precision, device);
        Ok(Self { config, weights, kind: precision.kind(), device, layout, mapped: Vec::new() })
    }

    /// Checks that nothing is left over and hands out what must live as long as the tensors.
    pub(crate) fn finish(self) -> Result<Vec<MappedTensor>, ModelError> {
        self.weights.finish()?;
        Ok(self.mapped)
    }

    /// (embedding_size, d_model).
    pub(crate) fn embedding(&mut self) -> Result<Tensor, ModelError> {
        let shape = [self.config.embedding_size, self.config.d_model];
        self.tensor(&names::embedding(), &shape)
    }

    /// The LM head: its own weights, or the embedding's if they are tied.
    pub(crate) fn head(&mut self, embedding: &Tensor) -> Result<Linear, ModelError> {
        if self.config.weight_tying {
            return Ok(Linear::plain(embedding.shallow_clone(), None));
        }
        let shape = [self.config.embedding_size, self.config.d_model];
        self.linear(names::ROOT, "ff_out", shape, self.config.include_bias)
    }

    /// A tensor in the model's dtype on its device; as mapped if that is what it is already.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let stored = self.weights.take(name, shape)?;
        let mapped = map(&stored)?;
        debug_assert_eq!(mapped.size(), sizes(shape));
        if mapped.kind() == self.kind && self.device == Device::Cpu {
            self.mapped.push(stored);
            return Ok(mapped);
        }
        let converted = mapped.f_to_device(self.device)?.f_to_kind(self.kind)?;
        stored.release();
        Ok(converted)
    }
}

impl Source for Loader<'_> {
    fn config(&self) -> &LladaConfig {
        self.config
    }

    fn norm(&mut self, prefix: &str, name: &str) -> Result<RmsNorm, ModelError> {
        let weight = self.tensor(&format!("{prefix}{name}.weight"), &[self.config.d_model])?;
        Ok(RmsNorm::new(weight, self.config.rms_norm_eps))
    }

    fn linear(&mut self, prefix: &str, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear, ModelError> {
        let bias = match bias {
            true => Some(self.tensor(&format!("{prefix}{name}.bias"), &shape[..1])?),
            false => None,
        };
        let name = format!("{prefix}{name}.weight");
        if let Some([values, scale]) = self.weights.take_quantized(&name, shape)? {
            let weight = Quantized { values: map(&values)?, scale: map(&scale)?.f_view([-1])? };
            let linear = match self.layout {
                Layout::Int8(kernel) => Linear::int8(&weight, bias, kernel)?,
                layout => Linear::float(weight.dequantize(self.kind)?.f_to_device(self.device)?, bias, layout)?,
            };
            values.release();
            scale.release();
            return Ok(linear);
        }
        if self.layout == Layout::Plain {
            return Ok(Linear::plain(self.tensor(&name, &shape)?, bias));
        }
        let stored = self.weights.take(&name, &shape)?;
        let weight = map(&stored)?;
        let linear = match self.layout {
            Layout::Int8(kernel) => Linear::int8(&Quantized::weights(&weight)?, bias, kernel)?,
            layout => Linear::float(weight.f_to_kind(self.kind)?, bias, layout)?,
        };
        stored.release();
        Ok(linear)
    }
}
