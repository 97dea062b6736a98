//! The choice of a decoder with its options, as in a request: `"decoder": "threshold", "threshold": 0.9`.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use strum::{IntoEnumIterator, VariantArray};

use super::{
    Credit, Decoder, Dream, EntropyBounded, Factor, Hierarchical, Klass, Leap, LeapOptions, Llada2, Llada2Edit,
    LocalLeap, Origin, RemdmOptions, Smdm, ThetaTrapezoidal, Threshold, Wino, first_hitting::FirstHitting,
    leaping::Leaping, remdm::Remdm, schedule::Schedule,
};
use crate::{InferError, method::Method};

/// A built-in decoder with its options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, strum::EnumDiscriminants, strum::EnumIter)]
#[serde(tag = "decoder", rename_all = "snake_case")]
#[strum_discriminants(
    name(DecoderKind),
    doc = "The name of a built-in decoder.",
    derive(Hash, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames, strum::VariantArray),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)
)]
#[non_exhaustive]
pub enum DecoderConfig {
    /// LLaDA: each step commits a fixed number of tokens, the most confident first.
    #[default]
    Schedule,
    /// Fast-dLLM: commits all predictions whose confidence reaches a threshold.
    Threshold(Threshold),
    /// Fast-dLLM: commits as many predictions as their joint confidence allows.
    Factor(Factor),
    /// EB-sampler: commits as many predictions as a bound on their joint entropy allows.
    EntropyBounded(EntropyBounded),
    /// LocalLeap: commits all confident predictions, and neighbours of these at a lower threshold.
    LocalLeap(LocalLeap),
    /// dInfer: commits the most confident prediction of every run of masks, and all confident ones.
    Hierarchical(Hierarchical),
    /// Dream: a schedule by diffusion time; the tokens may be drawn at random by confidence.
    Dream(Dream),
    /// SMDM: a schedule by diffusion time, the most confident first.
    Smdm(Smdm),
    /// The reverse process in discrete time: each mask becomes a token at random.
    Origin(Origin),
    /// Euler's method for the reverse process: first order.
    Euler(LeapOptions),
    /// τ-leaping for the reverse process: first order.
    TauLeaping(LeapOptions),
    /// The θ-trapezoidal method for the reverse process: second order, two forwards a step.
    ThetaTrapezoidal(ThetaTrapezoidal),
    /// First-hitting: the reverse process without an error at a token a step; the order is uniformly random.
    FirstHitting,
    /// LLaDA2.0: commits all predictions above a threshold, and a minimal number at each step.
    Llada2(Llada2),
    /// LLaDA2.1: commits all predictions above a threshold, and replaces tokens until their block ends.
    Llada2Edit(Llada2Edit),
    /// KLASS: commits all confident predictions whose distribution has become stable.
    Klass(Klass),
    /// CreditDecoding: commits all confident predictions; tokens that have long been the most probable gain confidence.
    Credit(Credit),
    /// ReMDM with capped remasking: commits and remasks positions at random.
    Remdm(RemdmOptions),
    /// ReMDM with rescaled remasking: the remasking probability is a fraction of its upper bound.
    RemdmRescale(RemdmOptions),
    /// ReMDM with remasking by confidence: the less confident a token, the more likely it is remasked.
    RemdmConf,
    /// ReMDM with a remasking loop: most of a block is decoded, then remasked and decoded repeatedly, then completed.
    RemdmLoop(RemdmOptions),
    /// WINO: commits all fairly confident predictions and revokes tokens that become improbable given the others.
    Wino(Wino),
}

impl DecoderConfig {
    pub(crate) fn build(self) -> Arc<dyn Decoder> {
        match self {
            Self::Schedule => Arc::new(Schedule),
            Self::Threshold(decoder) => Arc::new(decoder),
            Self::Factor(decoder) => Arc::new(decoder),
            Self::EntropyBounded(decoder) => Arc::new(decoder),
            Self::LocalLeap(decoder) => Arc::new(decoder),
            Self::Hierarchical(decoder) => Arc::new(decoder),
            Self::Dream(decoder) => Arc::new(decoder),
            Self::Smdm(decoder) => Arc::new(decoder),
            Self::Origin(decoder) => Arc::new(decoder),
            Self::Euler(options) => Arc::new(Leaping { leap: Leap::Euler, options }),
            Self::TauLeaping(options) => Arc::new(Leaping { leap: Leap::Tau, options }),
            Self::ThetaTrapezoidal(decoder) => Arc::new(decoder),
            Self::FirstHitting => Arc::new(FirstHitting),
            Self::Llada2(decoder) => Arc::new(decoder),
            Self::Llada2Edit(decoder) => Arc::new(decoder),
            Self::Klass(decoder) => Arc::new(decoder),
            Self::Credit(decoder) => Arc::new(decoder),
            Self::Remdm(options) => Arc::new(Remdm::cap(options)),
            Self::RemdmRescale(options) => Arc::new(Remdm::rescale(options)),
            Self::RemdmConf => Arc::new(Remdm::conf()),
            Self::RemdmLoop(options) => Arc::new(Remdm::in_a_loop(options)),
            Self::Wino(decoder) => Arc::new(decoder),
        }
    }
}

impl DecoderKind {
    /// All built-in decoders.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;
}

/// The decoder with the defaults of its options.
impl From<DecoderKind> for DecoderConfig {
    fn from(kind: DecoderKind) -> Self {
        DecoderConfig::iter().find(|config| DecoderKind::from(config) == kind).unwrap_or_default()
    }
}

/// The name of the decoder.
impl fmt::Display for DecoderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DecoderKind::from(self).fmt(f)
    }
}

impl Method for DecoderConfig {
    const KEY: &'static str = "decoder";

    fn from_name(name: &str) -> Result<Self, InferError> {
        Ok(name.parse::<DecoderKind>()?.into())
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<DecoderKind>("decoder", name)
}
