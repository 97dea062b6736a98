//! dLLM-Cache (arXiv 2506.06295), which exploits that the prompt hardly changes and the answer changes slowly.
//!
//! Everything is computed every K_p steps (`refresh_interval`) and the whole answer every K_r steps
//! (`gen_interval_steps`). In the steps between, each layer computes the values of the whole answer and compares them, by
//! cosine similarity, with the cached ones. Only the fraction ρ (`transfer_ratio`) of the answer's tokens with the least
//! similar values is computed in full; for the others the layer's cached output is added.
//!
//! Refreshes follow the steps of the answer, not its blocks, so the cache also works for pure diffusion, where the block is
//! the whole answer.

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};

use super::Cache;
use crate::{
    InferError, StepContext,
    error::{check_non_negative, check_positive},
};

/// The options of dLLM-Cache.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dllm {
    /// K_p, the number of steps from one forward over everything to the next.
    pub refresh_interval: usize,
    /// K_r, the number of steps from one forward over the whole answer to the next.
    pub gen_interval_steps: usize,
    /// ρ, the fraction of the answer's tokens that the steps in between compute.
    pub transfer_ratio: f32,
}

/// The paper's settings for LLaDA.
impl Default for Dllm {
    fn default() -> Self {
        Self { refresh_interval: 100, gen_interval_steps: 7, transfer_ratio: 0.25 }
    }
}

impl Cache for Dllm {
    fn validate(&self) -> Result<(), InferError> {
        check_positive("refresh_interval", self.refresh_interval)?;
        check_positive("gen_interval_steps", self.gen_interval_steps)?;
        check_non_negative("transfer_ratio", self.transfer_ratio)
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        at.step.is_multiple_of(self.refresh_interval)
    }

    fn refresh(&self, at: &StepContext) -> Recompute {
        // Shadows need every position of the answer in every step, so nothing is left to select.
        if at.has_shadows {
            return Recompute::All;
        }
        Recompute::LeastSimilar { within: 0..at.row_length, count: at.row_length }
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        let within = at.prompt_length.min(at.block.start)..at.row_length;
        if at.has_shadows {
            return Recompute::Span(within);
        }
        let answer = within.len();
        let count = if at.step.is_multiple_of(self.gen_interval_steps) {
            answer
        } else {
            (answer as f32 * self.transfer_ratio).ceil() as usize
        };
        Recompute::LeastSimilar { within, count: count.clamp(1, answer) }
    }
}
