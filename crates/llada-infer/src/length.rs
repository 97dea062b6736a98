//! How long an answer becomes: as long as `gen_length` says, or at most so long.
//!
//! *append*: the canvas is the prompt and the blocks so far. A block of masks is appended when the one before it is full
//! and has no end-of-text token in it.
//!
//! *daedal* (DAEDAL, arXiv 2508.00819): with c the mean, over 32, of the probabilities of the last 32 positions that
//! predict end-of-text, or fewer. Stage 1: from `initial_gen_length` masks on, while c < 0.5, append 8. Stage 2: at each
//! step of a block, if c < 0.9, the least sure of its masks becomes 8 masks, provided that its confidence is < 0.1. The
//! last forward of the first stage is the first of the second. Published code puts 16 visible end-of-text tokens after
//! the canvas in between; that is not repeated. A visible end-of-text counts as certain. Between two full forwards of a
//! cache the length stays as it is.

use std::ops::Range;

use llada_core::{
    predictor::Hidden,
    sampling::{argmax, softmax_at},
};
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{
    InferError,
    canvas::Canvas,
    decoder::Prediction,
    logits::{LogitsReader, chunks},
    vocabulary::Vocabulary,
};

/// Positions that c is a mean over.
const EOS_CHECK_TOKENS: usize = 32;
/// The c that ends the first stage.
const EOS_CONFIDENCE: f64 = 0.5;
/// The c from which on no mask is expanded.
const EXPAND_EOS_CONFIDENCE: f64 = 0.9;
/// The confidence below which a mask may be.
const LOW_CONFIDENCE: f32 = 0.1;
/// Masks that are appended, or that one mask becomes.
pub(crate) const EXPANSION_FACTOR: usize = 8;

/// The policies by name.
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
pub enum LengthKind {
    /// `gen_length` tokens.
    #[default]
    Fixed,
    /// Blocks until one has an end-of-text token, `gen_length` tokens at most.
    Append,
    /// DAEDAL: as many masks as the model asks for, `gen_length` at most.
    Daedal,
}

impl LengthKind {
    /// Every policy.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<LengthKind>("length", name)
}

/// Whether the first stage appends masks.
pub(crate) fn is_too_short(eos_confidence: f64) -> bool {
    eos_confidence < EOS_CONFIDENCE
}

/// The index of the prediction whose mask the second stage expands, if there is one; the step commits those `chosen`.
pub(crate) fn expands(eos_confidence: f64, predictions: &[Prediction], chosen: &[usize]) -> Option<usize> {
    let left = (0..predictions.len()).filter(|index| !chosen.contains(index));
    let least = left.min_by(|&a, &b| predictions[a].confidence.total_cmp(&predictions[b].confidence))?;
    let is_low = predictions[least].confidence < LOW_CONFIDENCE;
    (eos_confidence < EXPAND_EOS_CONFIDENCE && is_low).then_some(least)
}

/// c: how sure the model is that the answer of `canvas` ends, from the end on.
///
/// # Errors
/// The predictor fails.
pub(crate) fn eos_confidence<H: Hidden>(
    reader: &mut LogitsReader<'_, H>,
    vocabulary: &Vocabulary,
    canvas: &Canvas,
) -> Result<f64, InferError> {
    let Canvas { ids, wanted, eos, .. } = canvas;
    let visible = |range: Range<usize>| ids[range].iter().filter(|&id| id == eos).map(|_| 1.0);
    let mut confidences: Vec<f64> = Vec::new();
    let mut end = ids.len();
    for range in chunks(wanted.len()).rev() {
        let rows = reader.read(range.clone())?.chunks(vocabulary.padded_size);
        for (logits, &position) in rows.zip(&wanted[range]).rev() {
            confidences.extend(visible(position + 1..end));
            confidences.extend((argmax(logits) == *eos).then(|| f64::from(softmax_at(logits, *eos))));
            end = position;
        }
        if confidences.len() >= EOS_CHECK_TOKENS {
            break;
        }
    }
    Ok(confidences.iter().take(EOS_CHECK_TOKENS).sum::<f64>() / EOS_CHECK_TOKENS as f64)
}
