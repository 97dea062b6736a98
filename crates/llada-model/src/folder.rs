//! Recognises folders that hold something other than a checkpoint, so that the error says what they hold.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use crate::{ModelError, files, weights::slices::is_slice};

/// The file name of the config of a PEFT adapter.
const ADAPTER: &str = "adapter_config.json";

/// The extensions of weight files in formats that are not supported.
const OTHER_FORMATS: [&str; 9] = ["bin", "ckpt", "distcp", "gguf", "h5", "msgpack", "onnx", "pt", "pth"];

/// The beginnings of the names of files that Hugging Face's trainer writes beside the weights, with the same
/// extensions.
const TRAINING_STATE: [&str; 5] = ["training_args.bin", "optimizer", "rng_state", "scaler.pt", "scheduler.pt"];

/// Refuses a file, and a folder with a PEFT adapter.
pub(crate) fn check(folder: &Path) -> Result<(), ModelError> {
    if folder.is_file() {
        let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let advice = format!("its folder, {}", parent.display());
        return Err(ModelError::file_with_advice(folder, "a file, not the folder of a checkpoint", advice));
    }
    let path = folder.join(ADAPTER);
    if !path.exists() {
        return Ok(());
    }
    // The file name alone tells that this is an adapter, so an unreadable config is treated as an empty one.
    let keys: Map<String, Value> = files::read_json(&path).unwrap_or_default();
    let base = keys.get("base_model_name_or_path").and_then(Value::as_str).filter(|base| !base.is_empty());
    Err(ModelError::Adapter { folder: folder.to_owned(), base: base.unwrap_or("its base model").to_owned() })
}

/// Returns the error for a folder that has neither `model.safetensors` nor an index of shards; opening the former
/// failed with `error`.
pub(crate) fn without_weights(folder: &Path, error: std::io::Error) -> ModelError {
    let names = file_names(folder).unwrap_or_default();
    let (safetensors, others): (Vec<&String>, Vec<&String>) =
        names.iter().filter(|name| is_of_weights(name)).partition(|name| name.ends_with(".safetensors"));
    if let (Some(name), true) = (others.first(), safetensors.is_empty()) {
        let message = format!("its weights are in {name}, and safetensors alone are read");
        let advice = "in Python, load it with transformers and save_pretrained(folder, safe_serialization=True)";
        return ModelError::file_with_advice(folder, message, advice);
    }
    if safetensors.iter().any(|name| is_slice(name)) {
        return ModelError::Sliced { folder: folder.to_owned() };
    }
    // If `model.safetensors` itself is in the list, it is a broken link, and `error` describes it.
    if let Some(name) = safetensors.first().filter(|name| **name != "model.safetensors") {
        let message = format!("it has {name}, but neither model.safetensors nor model.safetensors.index.json");
        let advice = "give a single file that name, or fetch the index of the shards";
        return ModelError::file_with_advice(folder, message, advice);
    }
    ModelError::Io { path: folder.join("model.safetensors"), source: error }
}

/// Returns true if a file of this name holds weights, in any format.
pub(crate) fn is_of_weights(name: &str) -> bool {
    let is_training_state = TRAINING_STATE.iter().any(|state| name.starts_with(state));
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    extension == "safetensors" || OTHER_FORMATS.contains(&extension) && !is_training_state
}

/// Returns the names of the entries of a folder, sorted.
pub(crate) fn file_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}
