//! What a folder is that is no checkpoint, so that the error says so, and not that a file is missing.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use crate::{ModelError, files};

/// What PEFT calls the config of an adapter.
const ADAPTER: &str = "adapter_config.json";

/// How the names end of weights that are not read.
const OTHER_FORMATS: [&str; 9] = ["bin", "ckpt", "distcp", "gguf", "h5", "msgpack", "onnx", "pt", "pth"];

/// What Hugging Face's trainer leaves beside the weights, in the same formats.
const TRAINING_STATE: [&str; 5] = ["training_args.bin", "optimizer", "rng_state", "scaler.pt", "scheduler.pt"];

/// Refuses what cannot be the folder of a checkpoint, whatever else it holds.
pub(crate) fn check(folder: &Path) -> Result<(), ModelError> {
    if folder.is_file() {
        let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let message = format!("a file, not the folder of a checkpoint\nhint: its folder, {}", parent.display());
        return Err(ModelError::file(folder, message));
    }
    let path = folder.join(ADAPTER);
    if !path.exists() {
        return Ok(());
    }
    // A config of which nothing can be read is an adapter's all the same.
    let keys: Map<String, Value> = files::read_json(&path).unwrap_or_default();
    let base = keys.get("base_model_name_or_path").and_then(Value::as_str).filter(|base| !base.is_empty());
    Err(ModelError::Adapter { folder: folder.to_owned(), base: base.unwrap_or("its base model").to_owned() })
}

/// Why there are no weights to read in a folder that lacks `model.safetensors`, which `error` says, and an index of
/// shards.
pub(crate) fn without_weights(folder: &Path, error: std::io::Error) -> ModelError {
    let names = file_names(folder).unwrap_or_default();
    let (safetensors, others): (Vec<&String>, Vec<&String>) =
        names.iter().filter(|name| is_of_weights(name)).partition(|name| name.ends_with(".safetensors"));
    if let (Some(name), true) = (others.first(), safetensors.is_empty()) {
        let message = format!(
            "its weights are in {name}, and safetensors alone are read\n\
             hint: in Python, load it with transformers and save_pretrained(folder, safe_serialization=True)"
        );
        return ModelError::file(folder, message);
    }
    // A link of this name that leads nowhere is what the error says.
    if let Some(name) = safetensors.first().filter(|name| **name != "model.safetensors") {
        let message = format!(
            "it has {name}, but neither model.safetensors nor model.safetensors.index.json\n\
             hint: give a single file that name, or fetch the index of the shards"
        );
        return ModelError::file(folder, message);
    }
    ModelError::Io { path: folder.join("model.safetensors"), source: error }
}

/// Whether a file of this name holds weights, in whatever format.
pub(crate) fn is_of_weights(name: &str) -> bool {
    let is_training_state = TRAINING_STATE.iter().any(|state| name.starts_with(state));
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    extension == "safetensors" || OTHER_FORMATS.contains(&extension) && !is_training_state
}

/// The names of a folder's files, sorted.
pub(crate) fn file_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}
