//! The log-probabilities of committed tokens, for requests that ask for them.

use llada_core::{predictor::Hidden, sampling::log_sum_exp, trace::TokenLogprobs};

use super::ActiveRequest;
use crate::{InferError, logits::LogitsReader, step::Growth, vocabulary::Vocabulary};

impl ActiveRequest {
    /// Records the log-probabilities of the last step's commits, after which the sequence may have grown.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(super) fn record_logprobs<H: Hidden>(
        &mut self,
        reader: &mut LogitsReader<'_, H>,
        vocabulary: &Vocabulary,
        growth: Option<Growth>,
    ) -> Result<(), InferError> {
        let Some(count) = self.top_logprobs else { return Ok(()) };
        let Some(step) = self.sequence.trace.steps.last_mut() else { return Ok(()) };
        for (index, &position) in self.wanted.iter().enumerate() {
            let position = growth.map_or(position, |growth| growth.moved(position));
            let Ok(commit) = step.commits.binary_search_by_key(&position, |commit| commit.position) else { continue };
            let token = step.commits[commit].token;
            let logits = reader.read(index..index + 1)?;
            let log_sum = log_sum_exp(logits, 1.0);
            let logprob = |id: u32| (f64::from(logits[id as usize]) - log_sum) as f32;
            let top = top(logits, vocabulary, count).into_iter().map(|id| (id, logprob(id))).collect();
            step.logprobs.push(TokenLogprobs { logprob: logprob(token), top });
        }
        Ok(())
    }
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
