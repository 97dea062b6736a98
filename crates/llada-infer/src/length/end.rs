//! The confidence of a model that an answer ends.

use llada_core::{
    predictor::Hidden,
    sampling::{argmax, softmax_at},
};

use crate::{
    InferError,
    logits::{LogitsReader, chunks},
    vocabulary::Vocabulary,
};

/// The number of positions that the confidence is a mean over.
const EOS_CHECK_TOKENS: usize = 32;

/// Returns the sum of the end-of-text probabilities at the last 32 positions of the answer that predict end-of-text,
/// divided by 32. A visible end-of-text token of the answer counts as certain.
///
/// The answer follows the first `prompt_length` of `ids`. `wanted` has the positions that the forward predicts.
///
/// # Errors
/// If the predictor fails.
pub(crate) fn eos_confidence<H: Hidden>(
    reader: &mut LogitsReader<'_, H>,
    vocabulary: &Vocabulary,
    ids: &[u32],
    prompt_length: usize,
    wanted: &[usize],
) -> Result<f64, InferError> {
    let eos = vocabulary.special.eos;
    let mut confidences: Vec<f64> = Vec::new();
    let mut end = ids.len();
    // From the end to the start: usually the last positions suffice, and the logits of the others are never read.
    'answer: for range in chunks(wanted.len()).rev() {
        let rows = reader.read(range.clone())?.chunks(vocabulary.padded_size);
        for (logits, &position) in rows.zip(&wanted[range]).rev() {
            if position < prompt_length {
                // Tokens between a mask of the prompt and the answer were given, so they are not counted.
                break 'answer;
            }
            let visible_ends = count(&ids[position + 1..end], eos);
            confidences.extend(std::iter::repeat_n(1.0, visible_ends));
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

fn count(ids: &[u32], wanted: u32) -> usize {
    ids.iter().filter(|&&id| id == wanted).count()
}
