//! The decoders with their options, as a request names them: `"decoder": "threshold", "threshold": 0.9`.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use strum::{IntoEnumIterator, VariantArray};

use super::{
    Credit, Decoder, Dream, EntropyBounded, Factor, Hierarchical, Klass, LocalLeap, RemdmOptions, Threshold, Wino,
    remdm::Remdm, schedule::Schedule,
};
use crate::{InferError, options::Method};

/// A decoder and its options. An option that a decoder does not name it does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, strum::EnumDiscriminants, strum::EnumIter)]
#[serde(tag = "decoder", rename_all = "snake_case")]
#[strum_discriminants(
    name(DecoderKind),
    doc = "The decoders by name.",
    derive(Hash, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames, strum::VariantArray),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)
)]
#[non_exhaustive]
pub enum DecoderConfig {
    /// LLaDA: a number of tokens a step that is settled in advance.
    #[default]
    Schedule,
    /// Fast-dLLM: all that are surer than a threshold.
    Threshold(Threshold),
    /// Fast-dLLM: as many as are jointly sure enough.
    Factor(Factor),
    /// EB-sampler: as many as have a bounded joint entropy.
    EntropyBounded(EntropyBounded),
    /// LocalLeap: all that are sure, and their neighbours that are nearly so.
    LocalLeap(LocalLeap),
    /// dInfer: the surest of every run of masks, and all that are sure.
    Hierarchical(Hierarchical),
    /// Dream: a number of tokens a step that is settled in advance, drawn by their confidences.
    Dream(Dream),
    /// KLASS: all that are sure and whose distribution has settled.
    Klass(Klass),
    /// CreditDecoding: all that are sure, where a token that has long been the most probable is surer.
    Credit(Credit),
    /// ReMDM, capped: each by chance, and each token of the block may become a mask again.
    Remdm(RemdmOptions),
    /// ReMDM, rescaled: as capped, with a share of the largest probability that is possible.
    RemdmRescale(RemdmOptions),
    /// ReMDM by confidence: the less sure a token was, the sooner it becomes a mask again.
    RemdmConf,
    /// ReMDM in a loop: most of a block first, then over and over again, then the rest.
    RemdmLoop(RemdmOptions),
    /// WINO: all that are fairly sure; those that the others do not bear out become masks again.
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
    /// Every decoder.
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
