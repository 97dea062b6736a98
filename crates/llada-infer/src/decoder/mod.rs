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

use std::num::NonZeroUsize;

use llada_core::{
    order::top_k,
    rng::{Domain, Noise},
    trace::Commit,
    transfer::num_transfer_tokens,
};
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{InferError, SamplerConfig};
use remdm::Strategy;

/// What the model predicts for one masked position.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Prediction {
    /// Position in the sequence.
    pub(crate) position: usize,
    /// The pick.
    pub(crate) token: u32,
    /// How sure it is, by the request's remasking.
    pub(crate) confidence: f32,
    /// Entropy of the position's distribution, in nats; 0 unless the decoder asked for it.
    pub(crate) entropy: f32,
    /// Whether the position's distribution has stopped moving; false unless the decoder's memory says so.
    pub(crate) settled: bool,
}

/// The step that a decoder chooses for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The number of the step, over all blocks.
    pub(crate) number: usize,
    /// The number of the step in its block.
    pub(crate) index: usize,
    /// The steps of the block's schedule.
    pub(crate) steps: usize,
    /// How many predictions the schedule of the block commits in it.
    pub(crate) quota: usize,
    /// How many predictions the step before committed in the block.
    pub(crate) committed: usize,
    /// Seed of the request's noise.
    pub(crate) seed: u64,
}

impl Step {
    /// A number of this step and `position`, uniform in (0, 1).
    pub(crate) fn uniform(&self, position: usize) -> f64 {
        // Lane 0 is the confidence of random remasking.
        Noise::new(self.seed).domain(Domain::Order).stream(0, self.number as u32, position as u32).at(1)
    }
}

/// Chooses what a step commits.
pub(crate) trait Decoder: Send + Sync {
    /// Writes the indices of the predictions to commit into `chosen`, which is empty.
    ///
    /// `predictions` has an entry for each position that may be committed, ascending and at least one.
    fn choose(&self, step: Step, predictions: &[Prediction], chosen: &mut Vec<usize>);

    /// Writes the positions that become masks again into `revoked`, which is empty, in ascending order, after the step
    /// has chosen `drafted` predictions.
    ///
    /// `decoded` is what earlier steps committed in the block and still stands, by ascending position; it is empty unless
    /// the decoder is revocable. Its confidences are those of the commits or, if the decoder verifies, the tokens'
    /// probabilities by their shadows in this step.
    fn revoke(&self, _step: Step, _drafted: usize, _decoded: &[Commit], _revoked: &mut Vec<usize>) {}

    /// How many of a block's `masked` positions each of its steps commits.
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
    fn verifies(&self) -> bool {
        false
    }

    /// What it keeps of a masked position, made anew when the position is first predicted.
    fn memory(&self) -> Option<Box<dyn Memory>> {
        None
    }

    /// Whether it reads the predictions' entropy.
    fn reads_entropy(&self) -> bool {
        false
    }
}

/// What a decoder keeps of one masked position from step to step, until the position is committed.
pub(crate) trait Memory: Send {
    /// Takes in the position's guided logits, before a token is picked from them, and may change them or the prediction.
    fn observe(&mut self, logits: &mut [f32], prediction: &mut Prediction);
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

    pub(crate) fn build(self, config: &SamplerConfig) -> Box<dyn Decoder> {
        let threshold = config.threshold.unwrap_or(0.9);
        let eta = f64::from(config.eta);
        let remdm = |strategy| Box::new(remdm::Remdm { strategy });
        match self {
            Self::Schedule => Box::new(schedule::Schedule),
            Self::Threshold => Box::new(threshold::Threshold { threshold }),
            Self::Factor => Box::new(factor::Factor { factor: config.factor }),
            Self::EntropyBounded => Box::new(entropy_bounded::EntropyBounded { gamma: config.gamma }),
            Self::LocalLeap => Box::new(local_leap::LocalLeap { anchor: threshold, ..Default::default() }),
            Self::Hierarchical => Box::new(hierarchical::Hierarchical { high: threshold, ..Default::default() }),
            Self::Dream => Box::new(dream::Dream { alg_temp: config.alg_temp }),
            Self::Klass => Box::new(klass::Klass { threshold }),
            Self::Credit => Box::new(credit::Credit { threshold: threshold::Threshold { threshold } }),
            Self::Remdm => remdm(Strategy::Cap { eta }),
            Self::RemdmRescale => remdm(Strategy::Rescale { eta }),
            Self::RemdmConf => remdm(Strategy::Conf),
            Self::RemdmLoop => remdm(Strategy::Loop { eta, window: Default::default() }),
            Self::Wino => Box::new(wino::Wino {
                threshold: config.threshold.unwrap_or(0.6),
                threshold_back: config.threshold_back,
            }),
        }
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<DecoderKind>("decoder", name)
}

/// The indices of the `count` surest predictions, ascending; ties go to the lowest position.
pub(crate) fn surest(predictions: &[Prediction], count: usize, chosen: &mut Vec<usize>) {
    let confidence: Vec<f32> = predictions.iter().map(|prediction| prediction.confidence).collect();
    top_k(&confidence, count, chosen);
}

/// The indices of all predictions, surest first; ties go to the lowest position.
fn by_confidence(predictions: &[Prediction]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..predictions.len()).collect();
    order.sort_by(|&a, &b| predictions[b].confidence.total_cmp(&predictions[a].confidence));
    order
}
