//! The log-probability of a token, and those of its most probable alternatives.

use llada_core::{sampling::log_sum_exp, trace::TokenLogprobs};

use crate::vocabulary::Vocabulary;

/// Reads the log-probabilities of a token and of `count` alternatives from a row of logits.
pub(crate) fn token_logprobs(logits: &[f32], token: u32, count: usize, vocabulary: &Vocabulary) -> TokenLogprobs {
    let log_sum = log_sum_exp(logits, 1.0);
    let logprob =
        |id: u32| logits.get(id as usize).map_or(f32::NEG_INFINITY, |&logit| (f64::from(logit) - log_sum) as f32);
    let top = top(logits, vocabulary, count).into_iter().map(|id| (id, logprob(id))).collect();
    TokenLogprobs { logprob: logprob(token), top }
}

/// Returns the `count` ids with the highest logits that may be emitted, the highest first and of equal ones the lowest id.
fn top(logits: &[f32], vocabulary: &Vocabulary, count: usize) -> Vec<u32> {
    let mut top: Vec<u32> = Vec::with_capacity(count + 1);
    for (id, &logit) in (0..).zip(logits) {
        let is_high = top.len() < count || top.last().is_some_and(|&last| logit > logits[last as usize]);
        if is_high && vocabulary.knows(id) && id != vocabulary.mask_id {
            let place = top.partition_point(|&other| logits[other as usize] >= logit);
            top.insert(place, id);
            top.truncate(count);
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpecialTokens;

    #[test]
    fn the_highest_come_first_and_what_is_not_emitted_does_not_come() {
        let special = SpecialTokens { eos: 0, eot: None };
        let vocabulary = Vocabulary { padded_size: 6, mask_id: 5, banned: vec![1], special };
        let logits = [0.5, 9.0, 2.0, 0.5, 1.0, 8.0];
        assert_eq!(top(&logits, &vocabulary, 3), [2, 4, 0]);
        assert_eq!(top(&logits, &vocabulary, 9), [2, 4, 0, 3]);
        assert!(top(&logits, &vocabulary, 0).is_empty());
    }
}
