//! Decoders, which choose the predictions of a step that become tokens. There is one file per method. A decoder without a
//! schedule commits at least the most confident prediction.

mod config;
mod credit;
mod dream;
mod entropy_bounded;
mod factor;
mod first_hitting;
mod grid;
mod hierarchical;
mod klass;
mod leaping;
mod llada2;
mod llada2_edit;
mod local_leap;
mod origin;
mod remdm;
mod schedule;
mod smdm;
mod theta_trapezoidal;
mod threshold;
mod timesteps;
mod wino;

use std::{fmt, num::NonZeroUsize};

use llada_core::{block::num_transfer_tokens, confidence::top_k, trace::Commit};

use crate::{InferError, StepContext};
pub use config::{DecoderConfig, DecoderKind};
pub use credit::Credit;
pub use dream::Dream;
pub use entropy_bounded::EntropyBounded;
pub use factor::Factor;
pub use hierarchical::Hierarchical;
pub use klass::Klass;
pub use leaping::{Leap, LeapOptions};
pub use llada2::Llada2;
pub use llada2_edit::Llada2Edit;
pub use local_leap::LocalLeap;
pub use origin::{Origin, RecordedOrigin};
pub use remdm::RemdmOptions;
pub use smdm::Smdm;
pub use theta_trapezoidal::{Stage, ThetaTrapezoidal};
pub use threshold::Threshold;
pub use wino::Wino;

/// The model's prediction for one position.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The position in the sequence.
    pub position: usize,
    /// The token that was picked.
    pub token: u32,
    /// The confidence in the token, by the request's remasking measure.
    pub confidence: f32,
    /// The entropy of the position's distribution, in nats; 0 unless the decoder needs it.
    pub entropy: f32,
    /// True if the position's distribution is stable. Only a [`PositionState`] sets it.
    pub settled: bool,
    /// The rate at which the position becomes a token of any kind; 0 unless a [`PositionState`] sets it.
    pub rate: f64,
}

/// A method that chooses the predictions of a step that become tokens.
pub trait Decoder: fmt::Debug + Send + Sync {
    /// Writes the indices of the predictions to commit into `chosen`, in ascending order. `chosen` is empty at first.
    ///
    /// `predictions` has one entry for each position that may be committed, by ascending position. There is at least one.
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>);

    /// Writes the positions to mask again into `revoked`, in ascending order, once the step has chosen `drafted`
    /// predictions. `revoked` is empty at first.
    ///
    /// `decoded` has the tokens that earlier steps have committed in the block, by ascending position; it is empty unless
    /// the decoder is revocable. Their confidences are those of the commits or, if the decoder needs shadows, the
    /// probabilities of the tokens according to their shadows in this step.
    fn revoke(&self, _at: &StepContext, _drafted: usize, _decoded: &[Commit], _revoked: &mut Vec<usize>) {}

    /// Checks the options of the decoder.
    ///
    /// # Errors
    /// If an option is out of range.
    fn validate(&self) -> Result<(), InferError> {
        Ok(())
    }

    /// Returns, for each of a block's `steps`, the number of tokens that it commits. The block has `masked` masks.
    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        num_transfer_tokens(masked, steps)
    }

    /// Returns true if a block takes exactly the steps of its schedule. Otherwise a block ends when it has no masks.
    fn is_scheduled(&self) -> bool {
        false
    }

    /// Returns true if the decoder may revoke tokens, which it can until the end of their block.
    fn is_revocable(&self) -> bool {
        false
    }

    /// Returns true if the decoder needs [shadows](llada_core::predictor::Row::shadowed) of the tokens that it has
    /// committed in the block.
    fn needs_shadows(&self) -> bool {
        false
    }

    /// Returns the rule by which the decoder replaces tokens that it has committed in the block, if it does so.
    fn editing(&self) -> Option<Editing> {
        None
    }

    /// Returns the family whose sampler the decoder is part of, where the families' samplers differ.
    fn convention(&self) -> Convention {
        Convention::Llada
    }

    /// Returns true if the decoder reads the entropy of predictions.
    fn needs_entropy(&self) -> bool {
        false
    }

    /// Creates the state of a masked position, if the decoder has one. It is called when the position is first predicted.
    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        None
    }
}

/// The rule by which committed tokens are replaced until their block ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Editing {
    /// A token is replaced if the prediction at its position is another one with a confidence above this.
    pub threshold: f32,
    /// The number of steps that a full block has at most. It ends at the first of them that replaces nothing.
    pub max_post_steps: usize,
}

/// The conventions of the families' published samplers where they differ from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Convention {
    /// LLaDA: a confidence is a probability before temperature and truncation.
    #[default]
    Llada,
    /// Dream: a confidence is a probability after temperature and truncation, where `top_p` counts before `top_k`.
    Dream,
    /// LLaDA2: as Dream, but `top_k` counts before `top_p`, and nothing is truncated at temperature 0. The answer is handed
    /// out up to its first end-of-text, and LLaDA2.0 looks for it only in steps that commit one.
    Llada2,
}

/// The state of one masked position, which a decoder keeps from step to step until the position is committed.
pub trait PositionState: Send {
    /// Processes the guided logits of the position in a step, before a token is picked from them. It may change the logits
    /// and the prediction.
    fn process(&mut self, at: &StepContext, logits: &mut [f32], prediction: &mut Prediction);
}

/// Writes the indices of the `count` most confident predictions into `chosen`, in ascending order. Ties go to the lowest
/// position.
pub fn most_confident(predictions: &[Prediction], count: usize, chosen: &mut Vec<usize>) {
    let confidence: Vec<f32> = predictions.iter().map(|prediction| prediction.confidence).collect();
    top_k(&confidence, count, chosen);
}

/// Writes the indices of predictions into `chosen`, in ascending order, each independently with its `probability`.
fn at_random(
    at: &StepContext,
    predictions: &[Prediction],
    probability: impl Fn(&Prediction) -> f64,
    chosen: &mut Vec<usize>,
) {
    for (index, prediction) in predictions.iter().enumerate() {
        if at.uniform(prediction.position) < probability(prediction) {
            chosen.push(index);
        }
    }
}

/// Returns the indices of all predictions, the most confident first. Ties go to the lowest position.
fn by_confidence(predictions: &[Prediction]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..predictions.len()).collect();
    order.sort_by(|&a, &b| predictions[b].confidence.total_cmp(&predictions[a].confidence));
    order
}
