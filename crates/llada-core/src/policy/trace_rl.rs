//! TraceRL ([arXiv 2509.06949](https://arxiv.org/abs/2509.06949)): a completion is scored in the states that it went
//! through when it was generated, some steps at a time.
//!
//! The penalty is of the divergence from the policy that generated the completion, and not from a reference.

use super::{Completion, Scored, Surrogate, View, check, clipped, k3};
use crate::CoreError;
use serde::{Deserialize, Serialize};

/// The settings of TraceRL; the defaults are those of its code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceRl {
    /// The number of steps that are scored in one state.
    pub shrink: usize,
    /// How far the ratio of a token's probabilities counts, from 1.
    pub epsilon: f64,
    /// The weight of the divergence from the old policy.
    pub beta: f64,
    /// The number of end-of-texts after the answer that are scored.
    pub post_num: usize,
}

impl Default for TraceRl {
    fn default() -> Self {
        Self { shrink: 8, epsilon: 0.2, beta: 0.01, post_num: 0 }
    }
}

impl TraceRl {
    /// Returns the views of a completion: one for each group of `shrink` consecutive steps, in which the tokens of these
    /// and of later steps are masked and those of these steps are scored.
    ///
    /// # Shapes
    /// `step_map`: the step at which each token of the completion was committed.
    ///
    /// # Errors
    /// If `step_map` has not one step per token, or `shrink` is 0.
    pub fn views(&self, completion: &Completion, step_map: &[usize], mask_id: u32) -> Result<Vec<View>, CoreError> {
        CoreError::check_length("step_map", step_map.len(), completion.canvas())?;
        CoreError::check_positive("shrink", self.shrink)?;
        let mut steps = step_map.to_vec();
        steps.sort_unstable();
        steps.dedup();
        let mut views = Vec::with_capacity(steps.len().div_ceil(self.shrink));
        let end = completion.length - usize::from(completion.is_ended) + self.post_num;
        for group in steps.chunks(self.shrink) {
            let mut view = View { ids: completion.ids.clone(), scored: Vec::new() };
            for (token, step) in step_map.iter().enumerate().filter(|&(_, step)| *step >= group[0]) {
                let position = completion.prompt_length + token;
                view.ids[position] = mask_id;
                if token < end && group.contains(step) {
                    view.scored.push(position);
                }
            }
            if !view.scored.is_empty() {
                views.push(view);
            }
        }
        Ok(views)
    }

    /// Returns the loss of `batch`: the mean over all views of the mean over their scored tokens, and the divergence,
    /// which is a sum over tokens.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views.
    pub fn surrogate(&self, batch: &[Scored<'_>]) -> Result<Surrogate, CoreError> {
        check(batch)?;
        let rows = batch.iter().map(|scored| scored.views.len()).sum::<usize>() as f64;
        let mut surrogate = Surrogate::zero(batch);
        for (scored, weights) in batch.iter().zip(&mut surrogate.weights) {
            for ((log_probs, old), weights) in scored.log_probs.iter().zip(scored.old).zip(weights) {
                let count = log_probs.len() as f64;
                for ((&log_prob, &old), weight) in log_probs.iter().zip(old).zip(weights) {
                    let gain = clipped(log_prob - old, scored.advantage, self.epsilon);
                    let penalty = k3(log_prob, old);
                    surrogate.loss += (gain.value / count + self.beta * penalty.value) / rows;
                    *weight = -(gain.slope / count + self.beta * penalty.slope) / rows;
                }
            }
        }
        Ok(surrogate)
    }
}
