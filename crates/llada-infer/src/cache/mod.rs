//! What a step recomputes: the other positions keep the keys and values of an earlier step.
//!
//! Every block starts with a full forward, and every `refresh_interval` steps there is another; in between a cache says
//! which stretch around the block is computed anew. (dLLM-Cache goes by the steps of the answer instead.) All of them are
//! approximate for a bidirectional model; with a refresh interval of 1 all of them are exact.

mod dllm;
mod dual;
mod prefix;
mod vicinity;

use std::ops::Range;

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{InferError, SamplerConfig};

/// How far a generation is.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Tokens of the prompt.
    pub(crate) prompt_length: usize,
    /// Tokens of prompt and answer.
    pub(crate) length: usize,
    /// The positions of the block that is being decoded.
    pub(crate) block: Range<usize>,
    /// The number of the step in its block.
    pub(crate) block_step: usize,
    /// The number of the step in the answer.
    pub(crate) step: usize,
    /// Steps from one full forward to the next, if there is to be more than one a block.
    pub(crate) refresh_interval: Option<usize>,
    /// Whether the step asks shadows too.
    pub(crate) shadowed: bool,
}

/// Chooses what is recomputed in a step.
pub(crate) trait Cache: Send + Sync {
    /// Whether the step computes everything.
    fn is_refreshed(&self, at: &Moment) -> bool {
        at.block_step.is_multiple_of(at.refresh_interval.unwrap_or(usize::MAX))
    }

    /// A step that computes everything.
    fn refresh(&self, _at: &Moment) -> Recompute {
        Recompute::All
    }

    /// A step between two of those.
    fn reuse(&self, at: &Moment) -> Recompute;
}

/// The caches by name.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)]
#[non_exhaustive]
pub enum CacheKind {
    /// Every step recomputes everything.
    #[default]
    None,
    /// Fast-dLLM's prefix cache: what lies before the block is reused.
    Prefix,
    /// Fast-dLLM's dual cache: what lies on either side of the block is reused.
    Dual,
    /// dInfer's vicinity refresh: as dual, but the block's neighbours are recomputed too.
    Vicinity,
    /// dLLM-Cache: of the answer, what has moved the most is recomputed.
    Dllm,
}

impl CacheKind {
    /// Every cache.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    pub(crate) fn build(self, config: &SamplerConfig) -> Option<Box<dyn Cache>> {
        match self {
            Self::None => None,
            Self::Prefix => Some(Box::new(prefix::Prefix)),
            Self::Dual => Some(Box::new(dual::Dual)),
            Self::Vicinity => Some(Box::new(vicinity::Vicinity::default())),
            Self::Dllm => Some(Box::new(dllm::Dllm {
                gen_interval_steps: config.gen_interval_steps,
                transfer_ratio: config.transfer_ratio,
            })),
        }
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<CacheKind>("cache", name)
}
