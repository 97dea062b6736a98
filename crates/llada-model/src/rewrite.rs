//! Checkpoints that are made of other checkpoints: every tensor is converted, the text side is copied, and the folder
//! appears when it is complete.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use crate::{
    ModelConfig, ModelError, Tokenizer, Weights,
    atomic::PendingFolder,
    files::{read_json, write_json},
    weights::{
        role::{StoredTensor, stored_tensors},
        shards::{OutputTensor, Shards},
    },
};

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
    let pending = new_folder(out)?;
    let mut weights = Weights::of(folder, config)?;
    let path = pending.path();
    let shards = shards(config);
    let mut output = Shards::new(path.to_owned(), shards.len());
    for (i, tensors) in shards.iter().enumerate() {
        progress(i, shards.len())?;
        let mut written = Vec::new();
        for tensor in tensors {
            written.extend(convert(tensor, &mut weights)?);
        }
        output.write(&written)?;
    }
    weights.finish()?;
    output.finish()?;
    copy_text_side(folder, path)?;
    write_config(config, folder, path, edit)?;
    progress(shards.len(), shards.len())?;
    pending.finish().map_err(ModelError::from)?;
    Ok(())
}

/// Creates the temporary folder for `out`, which must not be there yet.
pub(crate) fn new_folder(out: &Path) -> Result<PendingFolder, ModelError> {
    if out.exists() {
        let advice = "remove it, or give another folder";
        return Err(ModelError::file_with_advice(out, "is there already", advice));
    }
    Ok(PendingFolder::create(out)?)
}

/// Returns the tensors of each shard.
fn shards(config: &ModelConfig) -> Vec<Vec<StoredTensor>> {
    let mut shards = vec![Vec::new(); config.num_hidden_layers + 1];
    for tensor in stored_tensors(config) {
        shards[tensor.role.shard(config.num_hidden_layers)].push(tensor);
    }
    shards
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

/// Copies a file into a folder that need not be there.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), ModelError> {
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
