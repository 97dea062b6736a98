//! dLLM-Cache (arXiv 2506.06295): the prompt hardly changes, the answer changes a little at a time.
//!
//! Everything is computed every K_p steps (`refresh_interval`, 100 unless it is given), the answer every K_r
//! (`gen_interval_steps`). In the steps between, each layer computes the values of the whole answer, and all else for the
//! share ρ (`transfer_ratio`) of its tokens whose values are the least similar, by cosine, to those that were kept; to the
//! others it adds what it added then. It goes by steps, not by blocks: so it serves pure diffusion too, where the block is
//! the whole answer.

use llada_core::predictor::Recompute;

use super::Cache;
use crate::StepContext;

/// K_p of the paper's settings for LLaDA.
pub(super) const PROMPT_INTERVAL_STEPS: usize = 100;

/// dLLM-Cache.
#[derive(Debug)]
pub(super) struct Dllm {
    pub(super) refresh_interval: usize,
    pub(super) gen_interval_steps: usize,
    pub(super) transfer_ratio: f32,
}

impl Cache for Dllm {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        at.step.is_multiple_of(self.refresh_interval)
    }

    fn refresh(&self, at: &StepContext) -> Recompute {
        // Shadows ask for all of the answer in every step: there is nothing to choose from.
        if at.has_shadows {
            return Recompute::All;
        }
        Recompute::LeastSimilar { within: 0..at.length, count: at.length }
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        let within = at.prompt_length.min(at.block.start)..at.length;
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
