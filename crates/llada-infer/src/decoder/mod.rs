//! Which of a step's predictions become tokens. One file a method; each without a schedule of its own
//! commits at least the surest prediction.

mod config;
mod credit;
mod dream;
mod entropy_bounded;
mod factor;
mod hierarchical;
mod klass;
mod local_leap;
mod remdm;
mod schedule;
mod threshold;
mod wino;

use std::{fmt, num::NonZeroUsize};

use llada_core::{confidence::top_k, trace::Commit, transfer::num_transfer_tokens};

use crate::{InferError, StepContext};
pub use config::{DecoderConfig, DecoderKind};
pub use credit::Credit;
pub use dream::Dream;
pub use entropy_bounded::EntropyBounded;
pub use factor::Factor;
pub use hierarchical::Hierarchical;
pub use klass::Klass;
pub use local_leap::LocalLeap;
pub use remdm::RemdmOptions;
pub use threshold::Threshold;
pub use wino::Wino;

/// What the model predicts for one masked position.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The position in the sequence.
    pub position: usize,
    /// The token that was picked.
    pub token: u32,
    /// How sure the model is of it, by the request's remasking.
    pub confidence: f32,
    /// The entropy of the position's distribution, in nats; 0 unless the decoder needs it.
    pub entropy: f32,
    /// Whether the position's distribution has stopped moving; false unless a [`PositionState`] says so.
    pub settled: bool,
}

/// Chooses which of a step's predictions become tokens.
pub trait Decoder: fmt::Debug + Send + Sync {
    /// Writes the indices of the predictions to commit into `chosen`, which is empty, in ascending order.
    ///
    /// `predictions` has an entry for each position that may be committed, ascending and at least one.
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>);

    /// Writes the positions that become masks again into `revoked`, which is empty, in ascending order, after the step
    /// has chosen `drafted` predictions.
    ///
    /// `decoded` is what earlier steps committed in the block and still stands, by ascending position; it is empty unless
    /// the decoder is revocable. Its confidences are those of the commits or, if the decoder needs shadows, the tokens'
    /// probabilities by their shadows in this step.
    fn revoke(&self, _at: &StepContext, _drafted: usize, _decoded: &[Commit], _revoked: &mut Vec<usize>) {}

    /// Checks its own options.
    ///
    /// # Errors
    /// One of them is out of its range.
    fn validate(&self) -> Result<(), InferError> {
        Ok(())
    }

    /// The number of a block's `masked` positions that each of its steps commits.
    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        num_transfer_tokens(masked, steps)
    }

    /// Whether a block takes the steps of its schedule; otherwise it ends when it is full.
    fn is_scheduled(&self) -> bool {
        false
    }

    /// Whether what it commits may become a mask again, until the end of the block.
    fn is_revocable(&self) -> bool {
        false
    }

    /// Whether it asks the shadows of what it decoded in the block.
    fn needs_shadows(&self) -> bool {
        false
    }

    /// Whether it reads the predictions' entropy.
    fn needs_entropy(&self) -> bool {
        false
    }

    /// What it keeps of a masked position, made anew when the position is first predicted.
    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        None
    }
}

/// What a decoder keeps of one masked position from step to step, until the position is committed.
pub trait PositionState: Send {
    /// Takes in the position's guided logits, before a token is picked from them, and may change them or the prediction.
    fn process(&mut self, logits: &mut [f32], prediction: &mut Prediction);
}

/// Writes the indices of the `count` most confident predictions into `chosen`, ascending; ties go to the lowest position.
pub fn most_confident(predictions: &[Prediction], count: usize, chosen: &mut Vec<usize>) {
    let confidence: Vec<f32> = predictions.iter().map(|prediction| prediction.confidence).collect();
    top_k(&confidence, count, chosen);
}

/// The indices of all predictions, surest first; ties go to the lowest position.
fn by_confidence(predictions: &[Prediction]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..predictions.len()).collect();
    order.sort_by(|&a, &b| predictions[b].confidence.total_cmp(&predictions[a].confidence));
    order
}
