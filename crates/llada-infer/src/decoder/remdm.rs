//! ReMDM (arXiv 2503.00307): at a step from time t to s < t, with α = 1 − t visible, a token decoded in the block becomes
//! a mask again with probability σ, and a mask becomes a token with probability (α_s − (1 − σ) α_t) / (1 − α_t): α_s are
//! visible then, as without remasking. Each position is drawn by itself; at temperature 1 the token is the model's.
//!
//! σ is at most σ_max = min(1, (1 − α_s) / α_t). *cap*: σ = min(η, σ_max), default η = 0.02. *conf*: decoded position i
//! has σ_i = σ_max · softmax_i(−confidence when it was decoded) and masks have 0, as published: a little less than α is
//! visible between the first step and the last. The last step commits everything.

use std::num::NonZeroUsize;

use llada_core::trace::Commit;

use super::{Decoder, Prediction, Step};

/// Ancestral sampling that takes back.
pub(super) struct Remdm {
    /// Where σ comes from.
    pub(super) strategy: Strategy,
}

pub(super) enum Strategy {
    Cap { eta: f64 },
    Conf,
}

/// α_t and α_s.
fn visible(step: Step) -> [f64; 2] {
    [step.index, step.index + 1].map(|steps| steps as f64 / step.steps as f64)
}

fn sigma_max(step: Step) -> f64 {
    let [alpha_t, alpha_s] = visible(step);
    // Infinite, or no number, where nothing is visible yet: 1 either way.
    ((1.0 - alpha_s) / alpha_t).min(1.0)
}

impl Decoder for Remdm {
    fn choose(&self, step: Step, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let [alpha_t, alpha_s] = visible(step);
        let sigma = match self.strategy {
            Strategy::Cap { eta } => sigma_max(step).min(eta),
            Strategy::Conf => 0.0,
        };
        let reveal = (alpha_s - (1.0 - sigma) * alpha_t) / (1.0 - alpha_t);
        let is_revealed = |&index: &usize| step.uniform(predictions[index].position) < reveal;
        chosen.extend((0..predictions.len()).filter(is_revealed));
    }

    fn revoke(&self, step: Step, decoded: &[Commit], revoked: &mut Vec<usize>) {
        let sum: f64 = decoded.iter().map(doubt).sum();
        let sigma = |commit: &Commit| match self.strategy {
            Strategy::Cap { eta } => sigma_max(step).min(eta),
            Strategy::Conf => sigma_max(step) * doubt(commit) / sum,
        };
        let is_revoked = |commit: &&Commit| step.uniform(commit.position) < sigma(commit);
        revoked.extend(decoded.iter().filter(is_revoked).map(|commit| commit.position));
    }

    /// Any step may commit any number.
    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        vec![masked; steps.get()]
    }

    fn is_scheduled(&self) -> bool {
        true
    }

    fn is_revocable(&self) -> bool {
        true
    }
}

/// What the softmax of *conf* weighs by.
fn doubt(commit: &Commit) -> f64 {
    f64::from(-commit.confidence).exp()
}
