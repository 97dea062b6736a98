//! Conversion of a checkpoint to one whose linear layers are stored in eight bits. It takes half the space of bf16, and
//! its weights need no conversion when they are loaded.
//!
//! Each linear layer has a `weight` (out, in) in I8 and a `weight_scale` (out, 1) in F32, one scale per output.
//! Embedding, norms and biases stay as they are. The names and the key `quantization_config` follow the library
//! compressed-tensors: symmetric eight-bit weights by channel, and dynamic activations by token.

use std::{fs, path::Path};

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use crate::{
    ModelConfig, ModelError, Tokenizer, Weights,
    atomic::PendingFolder,
    files::{read_json, write_json},
    torch::{
        int8::Quantized,
        tensor::{bytes, map},
    },
    weights::{
        MappedTensor,
        role::{self, Role, StoredTensor, stored_tensors},
        shards::{OutputTensor, Shards},
    },
};

/// The key of `config.json` that describes the quantisation.
pub(crate) const CONFIG_KEY: &str = "quantization_config";

/// Returns the value of [`CONFIG_KEY`].
pub(crate) fn scheme() -> Value {
    json!({
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": eight_bits("channel", false),
                "input_activations": eight_bits("token", true),
            },
        },
    })
}

fn eight_bits(strategy: &str, dynamic: bool) -> Value {
    json!({ "num_bits": 8, "type": "int", "symmetric": true, "strategy": strategy, "dynamic": dynamic })
}

/// Writes the checkpoint in `folder`, with its linear layers in eight bits, to the new folder `out`.
///
/// The folder appears when it is complete. One block is in memory at a time. `progress` is called with the number of
/// shards that have been written and the number of all shards.
///
/// # Errors
/// `folder` holds no valid checkpoint, or one that is already quantised; `out` exists or cannot be written; `progress`
/// returns an error, which ends the conversion.
pub fn quantize<E: From<ModelError>>(
    folder: &Path,
    out: &Path,
    progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let pending = new_folder(out)?;
    fill(folder, pending.path(), progress)?;
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

fn fill<E: From<ModelError>>(
    folder: &Path,
    out: &Path,
    mut progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let config = ModelConfig::load(folder)?;
    if config.is_quantized {
        let message = "its linear layers are stored in int8 already";
        return Err(ModelError::file(&folder.join("config.json"), message).into());
    }
    let mut weights = Weights::of(folder, &config)?;
    let shards = shards(&config);
    let mut output = Shards::new(out.to_owned(), shards.len());
    for (i, tensors) in shards.iter().enumerate() {
        progress(i, shards.len())?;
        let mut written = Vec::new();
        for tensor in tensors {
            written.extend(convert(tensor, weights.take(&tensor.name, &tensor.shape)?)?);
        }
        output.write(&written)?;
    }
    weights.finish()?;
    output.finish()?;
    copy_text_side(folder, out)?;
    write_config(&config, folder, out)?;
    progress(shards.len(), shards.len())
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

/// Returns the tensors to write for a stored one: a copy, or quantised weights and their scales.
fn convert(tensor: &StoredTensor, stored: MappedTensor) -> Result<Vec<OutputTensor>, ModelError> {
    let (name, shape) = (tensor.name.clone(), stored.shape.clone());
    let written = if tensor.is_linear_weight() {
        let quantized = Quantized::weights(&map(&stored)?)?;
        let (scale, scale_shape) = (role::scale(&name), vec![shape[0], 1]);
        let values = bytes(&quantized.values)?.to_vec();
        vec![
            OutputTensor { name, dtype: Dtype::I8, shape, bytes: values },
            OutputTensor {
                name: scale,
                dtype: Dtype::F32,
                shape: scale_shape,
                bytes: bytes(&quantized.scale)?.to_vec(),
            },
        ]
    } else {
        vec![OutputTensor { name, dtype: stored.dtype, shape, bytes: stored.bytes().to_vec() }]
    };
    stored.release();
    Ok(written)
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

fn write_config(config: &ModelConfig, folder: &Path, out: &Path) -> Result<(), ModelError> {
    let path = folder.join("config.json");
    let mut keys: Map<String, Value> = if path.exists() {
        read_json(&path)?
    } else {
        // SMDM's checkpoints have none.
        config.family.architecture().complete_keys(config)
    };
    keys.insert(CONFIG_KEY.to_owned(), scheme());
    write_json(&out.join("config.json"), &Value::Object(keys))
}
