//! The log-probabilities of committed tokens, for requests that ask for them.

use llada_core::predictor::Hidden;

use super::ActiveRequest;
use crate::{InferError, logits::LogitsReader, logprobs::token_logprobs, step::Growth, vocabulary::Vocabulary};

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
            step.logprobs.push(token_logprobs(logits, token, count, vocabulary));
        }
        Ok(())
    }
}
