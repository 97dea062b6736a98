//! What a step recomputes: the other positions keep the keys and values of an earlier step.
//!
//! Every block starts with a full forward, and every `refresh_interval` steps there is another; in between a cache says
//! which stretch around the block is computed anew. (dLLM-Cache goes by the steps of the answer instead.) All of them are
//! approximate for a bidirectional model; with a refresh interval of 1 all of them are exact.

mod dllm;
mod dual;
mod prefix;
mod vicinity;

use std::{fmt, sync::Arc};

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{InferError, SamplerConfig, StepContext};

/// Chooses what a step recomputes.
pub trait Cache: fmt::Debug + Send + Sync {
    /// Whether the step computes everything. So does the first step, and any after the sequence has grown.
    fn is_refreshed(&self, at: &StepContext) -> bool;

    /// A step that computes everything.
    fn refresh(&self, _at: &StepContext) -> Recompute {
        Recompute::All
    }

    /// A step between two of those. The positions of the block lie within.
    fn recompute(&self, at: &StepContext) -> Recompute;
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

    pub(crate) fn build(self, config: &SamplerConfig) -> Option<Arc<dyn Cache>> {
        match self {
            Self::None => None,
            Self::Prefix => Some(Arc::new(prefix::Prefix { refresh_interval: config.refresh_interval })),
            Self::Dual => Some(Arc::new(dual::Dual { refresh_interval: config.refresh_interval })),
            Self::Vicinity => Some(Arc::new(vicinity::Vicinity { refresh_interval: config.refresh_interval })),
            Self::Dllm => Some(Arc::new(dllm::Dllm {
                refresh_interval: config.refresh_interval.unwrap_or(dllm::PROMPT_INTERVAL_STEPS),
                gen_interval_steps: config.gen_interval_steps,
                transfer_ratio: config.transfer_ratio,
            })),
        }
    }
}

/// Whether a block that starts with a full forward has another in this step.
fn is_block_refreshed(at: &StepContext, refresh_interval: Option<usize>) -> bool {
    at.block_step.is_multiple_of(refresh_interval.unwrap_or(usize::MAX))
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<CacheKind>("cache", name)
}
