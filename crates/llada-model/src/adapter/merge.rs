//! An adapter merged into the weights of its model: W + s B A, computed in f32 and rounded once.

use std::path::Path;

use safetensors::Dtype;
use tch::{Device, Kind, Tensor};

use super::{Adapter, LoadedAdapter};
use crate::{
    ModelConfig, ModelError, Weights,
    quantize::CONFIG_KEY,
    rewrite::{OutputTensor, rewrite},
    torch::{
        dtype::stored_kind,
        int8::Quantized,
        tensor::{bytes, map},
    },
    weights::{
        MappedTensor,
        role::{self, Module, StoredTensor},
    },
};

/// Writes the checkpoint in `folder` with `adapter` in its weights to the new folder `out`.
///
/// Weights keep the dtype in which they are stored. Those in eight bits are dequantised to bf16, all of them, because
/// they would lose the most of a small change if they were rounded to eight bits again. The folder appears when it is
/// complete. `progress` is called with the number of shards that have been written and the number of all shards.
///
/// # Errors
/// `folder` holds no valid checkpoint; the adapter does not fit it; `out` exists or cannot be written; `progress` returns
/// an error, which ends the merge.
pub fn merge<E: From<ModelError>>(
    folder: &Path,
    adapter: &Adapter,
    out: &Path,
    progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let config = ModelConfig::load(folder)?;
    // The adapter is read after the tensors of the checkpoint are known to be there: a config may claim any number.
    Weights::of(folder, &config)?;
    let adapter = adapter.load(&config, Device::Cpu, Kind::Float)?;
    let convert = |tensor: &StoredTensor, weights: &mut Weights| convert(tensor, weights, &adapter);
    rewrite(folder, &config, out, convert, |keys| _ = keys.remove(CONFIG_KEY), progress)
}

fn convert(
    tensor: &StoredTensor,
    weights: &mut Weights,
    adapter: &LoadedAdapter,
) -> Result<Vec<OutputTensor>, ModelError> {
    let StoredTensor { name, shape, .. } = tensor;
    let stored = weights.take_checked(name)?;
    let scale = if stored.is_int8() { Some(weights.take_checked(&role::scale(name))?) } else { None };
    let dtype = if stored.is_int8() { Dtype::BF16 } else { stored.dtype };
    let module = Module::whole(name.strip_suffix(".weight").unwrap_or(name).to_owned());
    let lora = if tensor.is_linear_weight() { adapter.lora(&module)? } else { None };
    let merged = match (adapter.saved(&module, name)?, lora, &scale) {
        (Some(saved), ..) => Some(saved),
        (None, Some(lora), scale) => Some(lora.merged(&weight(&stored, scale.as_ref())?)?),
        (None, None, Some(scale)) => Some(weight(&stored, Some(scale))?),
        (None, None, None) => None,
    };
    let bytes = match merged {
        Some(merged) => bytes(&merged.f_to_kind(stored_kind(dtype))?.f_contiguous()?)?.to_vec(),
        None => stored.bytes().to_vec(),
    };
    stored.release();
    Ok(vec![OutputTensor { name: name.clone(), dtype, shape: shape.clone(), bytes }])
}

/// Returns a stored weight in f32.
fn weight(stored: &MappedTensor, scale: Option<&MappedTensor>) -> Result<Tensor, ModelError> {
    let values = map(stored)?;
    match scale {
        None => Ok(values.f_to_kind(Kind::Float)?),
        Some(scale) => Quantized { values, scale: map(scale)?.f_reshape([-1])? }.dequantize(Kind::Float),
    }
}
