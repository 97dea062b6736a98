//! Checkpoints that are made of other checkpoints: every tensor is converted, the text side is copied, and the folder
//! appears when it is complete.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};

use crate::{
    ModelConfig, ModelError, Tokenizer, Weights,
    atomic::PendingFolder,
    files::{read_json, write_json, write_safetensors},
    weights::role::{Role, StoredTensor, stored_tensors},
};

/// A tensor to be written.
pub(crate) struct OutputTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// Writes the checkpoint in `folder`, whose config is `config`, to the new folder `out`.
///
/// `convert` takes a tensor of the checkpoint and returns what is written for it; one block is in memory at a time.
/// `edit` changes the keys of `config.json`. `progress` is called with the number of shards that have been written and
/// the number of all shards.
pub(crate) fn rewrite<E: From<ModelError>>(
    folder: &Path,
    config: &ModelConfig,
    out: &Path,
    mut convert: impl FnMut(&StoredTensor, &mut Weights) -> Result<Vec<OutputTensor>, ModelError>,
    edit: impl FnOnce(&mut Map<String, Value>),
    mut progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    if out.exists() {
        let advice = "remove it, or give another folder";
        return Err(ModelError::file_with_advice(out, "is there already", advice).into());
    }
    let mut weights = Weights::of(folder, config)?;
    let pending = PendingFolder::create(out).map_err(ModelError::from)?;
    let path = pending.path();
    let shards = shards(config);
    let mut weight_map = BTreeMap::new();
    for (i, tensors) in shards.iter().enumerate() {
        progress(i, shards.len())?;
        let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        let mut written = Vec::new();
        for tensor in tensors {
            written.extend(convert(tensor, &mut weights)?);
        }
        weight_map.extend(written.iter().map(|tensor| (tensor.name.clone(), file.clone())));
        write_shard(&path.join(file), &written)?;
    }
    weights.finish()?;
    write_json(&path.join("model.safetensors.index.json"), &json!({ "metadata": {}, "weight_map": weight_map }))?;
    copy_text_side(folder, path)?;
    write_config(config, folder, path, edit)?;
    progress(shards.len(), shards.len())?;
    pending.finish().map_err(ModelError::from)?;
    Ok(())
}

/// Returns the tensors of each shard: one shard per block, and a last one for the rest.
fn shards(config: &ModelConfig) -> Vec<Vec<StoredTensor>> {
    let mut shards = vec![Vec::new(); config.num_hidden_layers + 1];
    for tensor in stored_tensors(config) {
        let shard = match tensor.role {
            Role::Block(layer, _) => layer,
            Role::Embedding | Role::Head | Role::FinalNorm => config.num_hidden_layers,
        };
        shards[shard].push(tensor);
    }
    shards
}

fn write_shard(path: &Path, tensors: &[OutputTensor]) -> Result<(), ModelError> {
    let mut views = Vec::with_capacity(tensors.len());
    for OutputTensor { name, dtype, shape, bytes } in tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| ModelError::file(path, e))?;
        views.push((name, view));
    }
    write_safetensors(path, views)
}

/// Copies the tokenizer, the chat template and all other JSON files but `config.json`.
fn copy_text_side(folder: &Path, out: &Path) -> Result<(), ModelError> {
    for entry in fs::read_dir(folder).map_err(ModelError::io(folder))? {
        let from = entry.map_err(ModelError::io(folder))?.path();
        let is_text = from.extension().is_some_and(|extension| extension == "json" || extension == "jinja");
        let (Some(name), true) = (from.file_name(), is_text) else { continue };
        let to = out.join(name);
        if name == "config.json" || to.exists() {
            continue;
        }
        copy(&from, &to)?;
    }
    for (from, to) in Tokenizer::FILES.map(|file| (folder.join(file), out.join(file))) {
        if from.exists() && !to.exists() {
            copy(&from, &to)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), ModelError> {
    let made = to.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::copy(from, to)).map_err(|source| ModelError::Write { path: to.to_owned(), source })?;
    Ok(())
}

fn write_config(
    config: &ModelConfig,
    folder: &Path,
    out: &Path,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<(), ModelError> {
    let path = folder.join("config.json");
    let mut keys: Map<String, Value> = if path.exists() {
        read_json(&path)?
    } else {
        // SMDM's checkpoints have none.
        config.family.architecture().complete_keys(config)
    };
    edit(&mut keys);
    write_json(&out.join("config.json"), &Value::Object(keys))
}
