//! Conversion of a checkpoint to one whose linear layers are stored in eight bits. It takes half the space of bf16, and
//! its weights need no conversion when they are loaded.
//!
//! Each linear layer has a `weight` (out, in) in I8 and a `weight_scale` (out, 1) in F32, one scale per output.
//! Embedding, norms and biases stay as they are. The names and the key `quantization_config` follow the library
//! compressed-tensors: symmetric eight-bit weights by channel, and dynamic activations by token.

use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use crate::{
    ModelConfig, ModelError, Weights,
    rewrite::rewrite,
    torch::{
        int8::Quantized,
        tensor::{bytes, map},
    },
    weights::{
        MappedTensor,
        role::{self, StoredTensor},
        shards::OutputTensor,
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
    let config = ModelConfig::load(folder)?;
    if config.is_quantized {
        let message = "its linear layers are stored in int8 already";
        return Err(ModelError::file(&folder.join("config.json"), message).into());
    }
    let edit = |keys: &mut Map<String, Value>| _ = keys.insert(CONFIG_KEY.to_owned(), scheme());
    let convert = |tensor: &StoredTensor, weights: &mut Weights| -> Result<_, ModelError> {
        convert(tensor, weights.take(&tensor.name, &tensor.shape)?)
    };
    rewrite(folder, &config, out, convert, edit, progress)
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
