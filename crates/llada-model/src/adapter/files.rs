//! The file of an adapter's tensors, `adapter_model.safetensors`.

use std::path::Path;

use safetensors::tensor::TensorView;

use super::{config::LoraConfig, keys};
use crate::{ModelError, Weights, files::write_safetensors, folder};

/// The name of the file.
const FILE: &str = "adapter_model.safetensors";

/// The prefix that peft's wrappers add to the names of a model's tensors.
const PREFIX: &str = "base_model.model.";

/// Maps the tensors of the adapter in `folder`, and removes the prefix from their names.
pub(super) fn open(folder: &Path) -> Result<Weights, ModelError> {
    let path = folder.join(FILE);
    if !path.exists() {
        let names = folder::file_names(folder).map_err(ModelError::io(folder))?;
        if let Some(name) = names.iter().find(|name| name.starts_with("adapter_model.")) {
            let message = format!("its tensors are in {name}, and safetensors alone are read");
            let advice = "in Python, load it with peft and save_pretrained(folder)";
            return Err(ModelError::file_with_advice(folder, message, advice));
        }
    }
    Weights::of_file(&path, PREFIX)
}

/// Writes an adapter to `folder`: its settings, and `tensors` under the names that they have in the model.
pub(crate) fn write(
    folder: &Path,
    config: &LoraConfig,
    base_model: Option<&str>,
    tensors: Vec<(String, TensorView<'_>)>,
) -> Result<(), ModelError> {
    keys::write(&folder.join(keys::FILE), config, base_model)?;
    let tensors = tensors.into_iter().map(|(name, view)| (format!("{PREFIX}{name}"), view)).collect();
    write_safetensors(&folder.join(FILE), tensors)
}
