//! Which of a step's predictions become tokens. One file a method; each without a schedule of its own
//! commits at least the surest prediction.

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

use std::{fmt, num::NonZeroUsize, sync::Arc};

use llada_core::{order::top_k, trace::Commit, transfer::num_transfer_tokens};
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{InferError, SamplerConfig, StepContext};
use remdm::Strategy;

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

/// The decoders by name.
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
pub enum DecoderKind {
    /// LLaDA: a number of tokens a step that is settled in advance.
    #[default]
    Schedule,
    /// Fast-dLLM: all that are surer than a threshold.
    Threshold,
    /// Fast-dLLM: as many as are jointly sure enough.
    Factor,
    /// EB-sampler: as many as have a bounded joint entropy.
    EntropyBounded,
    /// LocalLeap: all that are sure, and their neighbours that are nearly so.
    LocalLeap,
    /// dInfer: the surest of every run of masks, and all that are sure.
    Hierarchical,
    /// Dream: a number of tokens a step that is settled in advance, drawn by their confidences.
    Dream,
    /// KLASS: all that are sure and whose distribution has settled.
    Klass,
    /// CreditDecoding: all that are sure, where a token that has long been the most probable is surer.
    Credit,
    /// ReMDM, capped: each by chance, and each token of the block may become a mask again.
    Remdm,
    /// ReMDM, rescaled: as capped, with a share of the largest probability that is possible.
    RemdmRescale,
    /// ReMDM by confidence: the less sure a token was, the sooner it becomes a mask again.
    RemdmConf,
    /// ReMDM in a loop: most of a block first, then over and over again, then the rest.
    RemdmLoop,
    /// WINO: all that are fairly sure; those that the others do not bear out become masks again.
    Wino,
}

impl DecoderKind {
    /// Every decoder.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    pub(crate) fn build(self, config: &SamplerConfig) -> Arc<dyn Decoder> {
        let threshold = config.threshold.unwrap_or(0.9);
        let eta = f64::from(config.eta);
        let remdm = |strategy| Arc::new(remdm::Remdm { strategy });
        match self {
            Self::Schedule => Arc::new(schedule::Schedule),
            Self::Threshold => Arc::new(threshold::Threshold { threshold }),
            Self::Factor => Arc::new(factor::Factor { factor: config.factor }),
            Self::EntropyBounded => Arc::new(entropy_bounded::EntropyBounded { gamma: config.gamma }),
            Self::LocalLeap => Arc::new(local_leap::LocalLeap { anchor: threshold, ..Default::default() }),
            Self::Hierarchical => Arc::new(hierarchical::Hierarchical { high: threshold, ..Default::default() }),
            Self::Dream => Arc::new(dream::Dream { alg_temp: config.alg_temp }),
            Self::Klass => Arc::new(klass::Klass { threshold }),
            Self::Credit => Arc::new(credit::Credit { threshold: threshold::Threshold { threshold } }),
            Self::Remdm => remdm(Strategy::Cap { eta }),
            Self::RemdmRescale => remdm(Strategy::Rescale { eta }),
            Self::RemdmConf => remdm(Strategy::Conf),
            Self::RemdmLoop => remdm(Strategy::Loop { eta, window: Default::default() }),
            Self::Wino => Arc::new(wino::Wino {
                threshold: config.threshold.unwrap_or(0.6),
                threshold_back: config.threshold_back,
            }),
        }
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<DecoderKind>("decoder", name)
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
