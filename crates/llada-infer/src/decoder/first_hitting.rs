//! The first-hitting sampler (arXiv 2409.02908): the reverse process without an error in time.
//!
//! Each mask has a time at which it becomes a token. If there are n masks at time t, the first of these times is t u^(1/n) under
//! the linear schedule, with u uniform in (0, 1), and it is that of any mask with the same probability. A model that is not
//! told the time cannot see when it happens, so what is left is the order: a step commits as many masks as the official
//! schedule, chosen uniformly. At a token a step the result is exact. LLaDA's random remasking has the same law.

use llada_core::confidence::top_k;

use super::{Decoder, Prediction};
use crate::StepContext;

/// The first-hitting sampler.
#[derive(Debug)]
pub(super) struct FirstHitting;

impl Decoder for FirstHitting {
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        // By symmetry the order of independent uniform numbers is a uniform order.
        let hits: Vec<f32> = predictions.iter().map(|prediction| at.uniform(prediction.position) as f32).collect();
        top_k(&hits, at.scheduled_commits, chosen);
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
