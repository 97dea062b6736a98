//! An adapter merged into the weights of its model: W + s B A, computed in f32 and rounded once.

use std::path::Path;

use safetensors::Dtype;
use tch::{Device, Kind};

use super::{Adapter, LoadedAdapter};
use crate::{
    ModelConfig, ModelError, Weights,
    load::take_exact,
    quantize::CONFIG_KEY,
    rewrite::rewrite,
    torch::{dtype::stored_kind, tensor::bytes},
    weights::{
        role::{Module, StoredTensor},
        shards::OutputTensor,
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
    let module = Module::whole(name.strip_suffix(".weight").unwrap_or(name).to_owned());
    let lora = if tensor.is_linear_weight() { adapter.lora(&module)? } else { None };
    let saved = adapter.saved(&module, name)?;
    let is_quantized = weights.is_in_eight_bits(name);
    if lora.is_none() && saved.is_none() && !is_quantized {
        let stored = weights.take_checked(name)?;
        let (dtype, bytes) = (stored.dtype, stored.bytes().to_vec());
        stored.release();
        return Ok(vec![OutputTensor { name: name.clone(), dtype, shape: shape.clone(), bytes }]);
    }
    let dtype = weights.dtype(name).filter(|_| !is_quantized).unwrap_or(Dtype::BF16);
    let weight = take_exact(weights, name)?;
    let merged = match (saved, lora) {
        (Some(saved), _) => saved,
        (None, Some(lora)) => lora.merged(&weight)?,
        (None, None) => weight,
    };
    let bytes = bytes(&merged.f_to_kind(stored_kind(dtype))?.f_contiguous()?)?.to_vec();
    Ok(vec![OutputTensor { name: name.clone(), dtype, shape: shape.clone(), bytes }])
}
