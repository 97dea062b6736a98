//! How sure a model is that an answer ends.

use std::ops::Range;

use llada_core::{
    predictor::Hidden,
    sampling::{argmax, softmax_at},
};

use crate::{
    InferError,
    logits::{LogitsReader, chunks},
    vocabulary::Vocabulary,
};

/// Positions that the confidence is a mean over.
const EOS_CHECK_TOKENS: usize = 32;

/// The mean, over 32, of the probabilities of the last 32 positions of the answer that predict end-of-text, or fewer. A
/// visible end-of-text of the answer counts as certain. The answer follows the first `prompt_length` of `ids`; `wanted`
/// are the positions that are predicted.
///
/// # Errors
/// The predictor fails.
pub(crate) fn eos_confidence<H: Hidden>(
    reader: &mut LogitsReader<'_, H>,
    vocabulary: &Vocabulary,
    ids: &[u32],
    prompt_length: usize,
    wanted: &[usize],
) -> Result<f64, InferError> {
    let eos = vocabulary.special.eos;
    let visible = |range: Range<usize>| ids[range].iter().filter(|&&id| id == eos).count();
    let mut confidences: Vec<f64> = Vec::new();
    let mut end = ids.len();
    // From the end on: most of the time the last positions are enough, and the others' logits are never read.
    'answer: for range in chunks(wanted.len()).rev() {
        let rows = reader.read(range.clone())?.chunks(vocabulary.padded_size);
        for (logits, &position) in rows.zip(&wanted[range]).rev() {
            if position < prompt_length {
                // What follows a mask of the prompt was given: an end in it is not the answer's.
                break 'answer;
            }
            confidences.extend(std::iter::repeat_n(1.0, visible(position + 1..end)));
            if argmax(logits) == eos {
                confidences.push(f64::from(softmax_at(logits, eos)));
            }
            end = position;
        }
        if confidences.len() >= EOS_CHECK_TOKENS {
            break;
        }
    }
    Ok(confidences.iter().take(EOS_CHECK_TOKENS).sum::<f64>() / EOS_CHECK_TOKENS as f64)
}
