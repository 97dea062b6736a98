//! Conversion of an autoregressive checkpoint to one of a mask predictor, from which its training goes on (A2D,
//! "autoregressive to diffusion": DiffuLLaMA, arXiv 2410.17891; Dream, arXiv 2508.15487).
//!
//! The weights stay as they are. The causal mask goes, and a mask token comes: a new id, whose rows in embedding and head
//! are the means of all rows, or a token that the vocabulary has already.

mod family;
mod source;
mod text;

use std::path::Path;

use llada_core::Hint;
use serde_json::json;

use self::{
    source::{Part, Source},
    text::Mask,
};
use crate::{
    Dtype, ModelConfig, ModelError, Tokenizer, Weights,
    files::write_json,
    rewrite::new_folder,
    weights::{
        role::{Needed, Role, needed},
        shards::{OutputTensor, Shards},
    },
};

/// The settings of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The dtype of the new weights.
    pub dtype: Dtype,
    /// Whether the logits at position i − 1 go on predicting the token at position i, as in the autoregressive model.
    pub logit_shift: bool,
    /// Whether attention is causal from block to block, instead of full.
    pub block_causal: bool,
    /// The text of the mask token. A special token of the vocabulary keeps its id and its rows; any other text becomes a
    /// new token.
    pub mask_token: String,
}

impl Default for Conversion {
    fn default() -> Self {
        Self { dtype: Dtype::Bf16, logit_shift: false, block_causal: false, mask_token: "<|mask|>".to_owned() }
    }
}

/// What a conversion made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Converted {
    /// The config of the new checkpoint.
    pub config: ModelConfig,
    /// Whether the mask is a new token, whose rows are means.
    pub mask_is_new: bool,
    /// Whether the new checkpoint has a tokenizer.
    pub has_tokenizer: bool,
}

/// Writes the mask predictor that the autoregressive checkpoint `input` becomes to the new folder `out`.
///
/// `input` is a folder in the Hugging Face layout or a GGUF file, of a Llama, Qwen2 or Qwen3. The folder appears when it is
/// complete and has been checked as every checkpoint is that is loaded. One block is in memory at a time. `progress` is
/// called with the number of shards that have been written and the number of all shards.
///
/// # Errors
/// `input` is no such checkpoint, or a damaged one; no family takes what `conversion` asks for; `out` exists or cannot be
/// written; `progress` returns an error, which ends the conversion.
pub fn convert<E: From<ModelError>>(
    input: &Path,
    out: &Path,
    conversion: &Conversion,
    progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<Converted, E> {
    let mut source = source::open(input, conversion)?;
    let pending = new_folder(out)?;
    let text = source.text_side()?;
    let has_tokenizer = text.has_tokenizer();
    let mask = text.write(pending.path(), &conversion.mask_token, source.config().shape.vocab_size)?;
    let config = target(source.as_ref(), &mask, pending.path())?;
    write_weights(source.as_mut(), &config, &mask, conversion.dtype, pending.path(), progress)?;
    write_config(source.as_ref(), &config, conversion.dtype, pending.path())?;
    let loaded = ModelConfig::load(pending.path())?;
    Weights::of(pending.path(), &loaded)?;
    Tokenizer::load(pending.path(), &loaded)?;
    pending.finish().map_err(ModelError::from)?;
    Ok(Converted { config: loaded, mask_is_new: mask.is_new, has_tokenizer })
}

/// Returns the config of the new checkpoint, whose tokenizer is in `folder`.
fn target(source: &dyn Source, mask: &Mask, folder: &Path) -> Result<ModelConfig, ModelError> {
    let found = source.config();
    let mut config = family::config(&found.shape)?;
    let rows = found.shape.vocab_size.max(mask.id as usize + 1);
    (config.vocab_size, config.embedding_size, config.padded_vocab_size) = (rows, rows, rows);
    config.mask_token_id = mask.id;
    let mut ends = found.ends.clone();
    ends.extend(Tokenizer::open(folder)?.and_then(|tokenizer| tokenizer.eos_id()).filter(|eos| !ends.contains(eos)));
    let Some((&eos, others)) = ends.split_first() else {
        return Err(ModelError::config(
            "eos_token_id",
            "the key is missing, and no tokenizer names the end of the text",
        ));
    };
    if ends.contains(&mask.id) {
        return Err(ModelError::Conversion {
            message: format!("the token with id {} ends texts, so it cannot be the mask", mask.id),
            hint: Some(Hint::set("mask_token", [Conversion::default().mask_token])),
        });
    }
    (config.eos_token_id, config.other_eos_token_ids) = (eos, others.to_vec());
    Ok(config)
}

fn write_weights<E: From<ModelError>>(
    source: &mut dyn Source,
    config: &ModelConfig,
    mask: &Mask,
    dtype: Dtype,
    out: &Path,
    mut progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let layers = config.num_hidden_layers;
    let shape = source.config().shape.clone();
    // Both lists have the same roles in the same order; biases and the number of rows may differ.
    let pairs: Vec<(Needed, Needed)> = needed(config).into_iter().zip(needed(&shape)).collect();
    let mut shards = Shards::new(out.to_owned(), layers + 1);
    for shard in 0..=layers {
        progress(shard, layers + 1)?;
        let mut tensors = Vec::new();
        for (wanted, found) in pairs.iter().filter(|(wanted, _)| wanted.role.shard(layers) == shard) {
            convert_module(source, config, mask, dtype, (wanted, found), &mut tensors)?;
        }
        shards.write(&tensors)?;
    }
    source.finish()?;
    shards.finish()?;
    progress(layers + 1, layers + 1)
}

/// Adds the tensors of a module to those of its shard.
fn convert_module(
    source: &mut dyn Source,
    config: &ModelConfig,
    mask: &Mask,
    dtype: Dtype,
    (wanted, found): (&Needed, &Needed),
    tensors: &mut Vec<OutputTensor>,
) -> Result<(), ModelError> {
    let role = wanted.role;
    let module = config.family.architecture().module(config, role);
    let mut values = source.values(role, Part::Weight, &found.shape)?;
    if matches!(role, Role::Embedding | Role::Head) {
        add_mask(&mut values, mask, config.hidden_size);
    }
    let first_row = module.rows.first().map_or(0, |rows| rows.start);
    put(tensors, module.weight(role), dtype, &wanted.shape, first_row, &values);
    if wanted.has_bias {
        let values = match found.has_bias {
            true => source.values(role, Part::Bias, &found.shape[..1])?,
            false => vec![0.0; wanted.shape[0]],
        };
        put(tensors, module.bias(), dtype, &wanted.shape[..1], first_row, &values);
    }
    Ok(())
}

/// Gives a new mask its row, the mean of those before it. The rows behind the last token may have had one for it.
///
/// # Shapes
/// values (rows, width) -> (rows, width) or (rows + 1, width).
fn add_mask(values: &mut Vec<f32>, mask: &Mask, width: usize) {
    if !mask.is_new {
        return;
    }
    let start = mask.id as usize * width;
    let mut mean = vec![0.0_f64; width];
    for row in values[..start].chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    values.resize(values.len().max(start + width), 0.0);
    let row = values[start..].iter_mut().zip(mean);
    row.for_each(|(value, sum)| *value = (sum / f64::from(mask.id.max(1))) as f32);
}

/// Writes the values from row `first_row` on into a tensor, which is there already if another role's rows are in it.
fn put(tensors: &mut Vec<OutputTensor>, name: String, dtype: Dtype, shape: &[usize], first_row: usize, values: &[f32]) {
    let bytes: Vec<u8> = match dtype {
        Dtype::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Dtype::Bf16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
    };
    match tensors.iter_mut().find(|tensor| tensor.name == name) {
        Some(tensor) => {
            // Fused rows follow each other in the order of the roles.
            tensor.shape[0] = first_row + shape[0];
            tensor.bytes.extend(bytes);
        }
        None => tensors.push(OutputTensor { name, dtype: dtype.stored(), shape: shape.to_vec(), bytes }),
    }
}

fn write_config(source: &dyn Source, config: &ModelConfig, dtype: Dtype, out: &Path) -> Result<(), ModelError> {
    let mut keys = config.to_keys(dtype.torch_name());
    keys.extend(source.config().bos_token_id.map(|bos| ("bos_token_id".to_owned(), json!(bos))));
    write_json(&out.join("config.json"), &keys.into())
}
