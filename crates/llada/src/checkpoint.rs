//! What a checkpoint has beside its weights: the tokenizer, the ids that are special, and the precision that suits it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llada_infer::{Algorithm, SpecialTokens};
use llada_model::{Device, Dtype, Family, ModelConfig, Precision, Tokenizer, Transformer};

use crate::{Ends, Error};

/// Weights that take less than this in f32 are computed in it: exactness costs little there.
const SMALL: usize = 1 << 26;

/// The same where bf16 is no faster, and only saves memory.
const SMALL_WITHOUT_BF16: usize = 1 << 30;

/// The precision that a checkpoint is opened in on `device` where none is asked for: int8 if it is stored in eight
/// bits; f32 if its weights take less than 64 MiB in it, or 1 GiB where the device has no bf16; bf16 if they take more.
///
/// # Errors
/// The `config.json` in `folder` cannot be read, or is refused.
pub fn default_precision(folder: &Path, device: Device) -> Result<Precision, Error> {
    let config = ModelConfig::load(folder)?;
    let small = if device.has_bf16() { SMALL } else { SMALL_WITHOUT_BF16 };
    if config.is_quantized {
        Ok(Precision::Int8)
    } else if config.parameters().saturating_mul(Dtype::F32.bytes()) < small {
        Ok(Dtype::F32.into())
    } else {
        Ok(Dtype::Bf16.into())
    }
}

/// The published sampler of a checkpoint's family: the one that it was made for.
///
/// # Errors
/// The `config.json` in `folder` cannot be read, or is refused.
pub fn default_algorithm(folder: &Path) -> Result<Algorithm, Error> {
    Ok(algorithm_of(ModelConfig::load(folder)?.family))
}

pub(crate) fn algorithm_of(family: Family) -> Algorithm {
    match family {
        Family::Illada => Algorithm::IlladaVar,
        Family::Llada2 => Algorithm::Llada2,
        Family::Dream => Algorithm::Dream,
        Family::Smdm => Algorithm::Smdm,
        _ => Algorithm::Vanilla,
    }
}

/// The folder of a model, and what was read there beside the weights.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) tokenizer: Option<Arc<Tokenizer>>,
    pub(crate) special: SpecialTokens,
    pub(crate) ends: Ends,
    /// Whether it is the autoregressive baseline, which continues text and fills no masks.
    pub(crate) is_causal: bool,
}

impl Checkpoint {
    /// Reads what stands beside the weights of `network`, and forbids it the ids that no token has.
    pub(crate) fn read(folder: PathBuf, network: &mut Transformer) -> Result<Self, Error> {
        let tokenizer = Tokenizer::load(&folder, network.config())?;
        if let Some(tokenizer) = &tokenizer {
            network.ban(tokenizer.unknown_ids(network.config().vocab_size));
        }
        let config = network.config();
        let eot = tokenizer.as_ref().and_then(Tokenizer::eot_id);
        Ok(Self {
            folder,
            special: SpecialTokens { eos: config.eos_token_id, eot },
            ends: Ends::new(config.eos_token_id, &config.other_eos_token_ids, eot),
            is_causal: config.is_causal(),
            tokenizer: tokenizer.map(Arc::new),
        })
    }

    pub(crate) fn tokenizer(&self) -> Result<&Arc<Tokenizer>, Error> {
        self.tokenizer.as_ref().ok_or_else(|| Error::NoTokenizer { folder: self.folder.clone() })
    }
}
