//! A checkpoint whose linear layers are stored in eight bits: half of bf16 on disk, and nothing left to do at load.
//!
//! Each output of a linear layer has a scale, `weight` (out, in) in I8 and `weight_scale` (out, 1) in F32; embedding,
//! norms and biases stay as they are. Names and `quantization_config` are those of compressed-tensors' scheme of eight
//! bits by channel with activations by token, computed as they come.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};

use crate::{
    ModelConfig, ModelError, Tokenizer, Weights,
    files::{read_json, write_json, write_safetensors},
    torch::{
        int8::Quantized,
        tensor::{bytes, map},
    },
    weights::{
        MappedTensor,
        role::{self, Role, StoredTensor, stored_tensors},
    },
};

/// Of `config.json`.
pub(crate) const CONFIG_KEY: &str = "quantization_config";

/// The value of that key.
pub(crate) fn scheme() -> Value {
    let eight_bits = json!({ "num_bits": 8, "type": "int", "symmetric": true });
    let with = |key: &str, value: &str, dynamic: bool| {
        let mut part = eight_bits.clone();
        part[key] = json!(value);
        part["dynamic"] = json!(dynamic);
        part
    };
    json!({
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": with("strategy", "channel", false),
                "input_activations": with("strategy", "token", true),
            },
        },
    })
}

/// A tensor as it will lie in a file.
struct OutputTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Writes the checkpoint of `folder`, with its linear layers in eight bits, to the new folder `out`, which appears whole
/// or not at all. One block is in memory at a time. `progress` hears of the shards that are written, and of how many
/// there will be.
///
/// # Errors
/// `folder` holds no checkpoint, or one that is quantised already; `out` is there already or cannot be written;
/// `progress` fails, which ends the work.
pub fn quantize<E: From<ModelError>>(
    folder: &Path,
    out: &Path,
    progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    if out.exists() {
        return Err(ModelError::file(out, "is there already\nhint: remove it, or give another folder").into());
    }
    let mut partial = out.as_os_str().to_owned();
    partial.push(".tmp");
    let partial = Path::new(&partial);
    let unwritten = |source| ModelError::Write { path: out.to_owned(), source };
    // What a run that was killed has left.
    if partial.exists() {
        fs::remove_dir_all(partial).map_err(unwritten)?;
    }
    fs::create_dir_all(partial).map_err(unwritten)?;
    let done = fill(folder, partial, progress).and_then(|()| Ok(fs::rename(partial, out).map_err(unwritten)?));
    if done.is_err() {
        // Best effort: the first error is the one to tell.
        drop(fs::remove_dir_all(partial));
    }
    done
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
    let mut weight_map = BTreeMap::new();
    for (i, tensors) in shards.iter().enumerate() {
        progress(i, shards.len())?;
        let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        let mut written = Vec::new();
        for tensor in tensors {
            written.extend(convert(tensor, weights.take(&tensor.name, &tensor.shape)?)?);
        }
        weight_map.extend(written.iter().map(|tensor| (tensor.name.clone(), file.clone())));
        write_shard(&out.join(file), &written)?;
    }
    weights.finish()?;
    write_json(&out.join("model.safetensors.index.json"), &json!({ "metadata": {}, "weight_map": weight_map }))?;
    copy_text_side(folder, out)?;
    write_config(&config, folder, out)?;
    progress(shards.len(), shards.len())
}

/// The tensors of the checkpoint, those of each block together, and the rest at the end.
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

/// The tensors to write for a stored one: itself, or quantised weights and their scales.
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

fn write_shard(path: &Path, tensors: &[OutputTensor]) -> Result<(), ModelError> {
    let views: Vec<_> = tensors
        .iter()
        .map(|tensor| Ok((&tensor.name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(|e| ModelError::file(path, e))?;
    write_safetensors(path, views)
}

/// Tokenizer, template, and whatever else is no weight.
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
