//! An autoregressive checkpoint: a folder in the Hugging Face layout, or a GGUF file. Both give weights by role.

mod folder;
mod gguf;

use std::path::Path;

pub(super) use self::{folder::Folder, gguf::GgufModel};
use super::{Conversion, text::TextSide};
use crate::{ModelError, arch::autoregressive::AutoregressiveConfig, weights::role::Role};

/// A part of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Weight,
    Bias,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
        }
    }
}

/// What a conversion reads.
pub(super) trait Source {
    /// Returns the config of the model.
    fn config(&self) -> &AutoregressiveConfig;

    /// Returns the values of a tensor of this shape, row-major, as Hugging Face's classes have them.
    fn values(&mut self, role: Role, part: Part, shape: &[usize]) -> Result<Vec<f32>, ModelError>;

    /// Checks that every tensor was asked for.
    fn finish(&self) -> Result<(), ModelError>;

    /// Returns the tokenizer and the chat template.
    fn text_side(&self) -> Result<TextSide, ModelError>;
}

/// Opens the folder or file `input`.
pub(super) fn open(input: &Path, conversion: &Conversion) -> Result<Box<dyn Source>, ModelError> {
    Ok(if input.is_file() {
        Box::new(GgufModel::open(input, conversion)?)
    } else {
        Box::new(Folder::open(input, conversion)?)
    })
}

/// Refuses more layers than a file has tensors, before anything of their number is allocated.
fn check_layers(config: &AutoregressiveConfig, tensors: usize) -> Result<(), ModelError> {
    let layers = config.shape.num_hidden_layers;
    if layers > tensors {
        let message = format!("{layers} layers cannot be in {tensors} tensors");
        return Err(ModelError::config("num_hidden_layers", message));
    }
    Ok(())
}
