//! Answers as text, and where their text ends.

use llada_core::trace::Trace;
use llada_infer::Generation;

use crate::{Error, checkpoint::Checkpoint};

/// An answer in words and in ids.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The text of `output` up to its first end. Where nothing was appended to the prompt, as in infilling, the text of
    /// `prompt`, all of it.
    pub text: String,
    /// Why the text is no longer.
    pub finish_reason: FinishReason,
    /// The ids of the prompt, its masks filled.
    pub prompt: Vec<u32>,
    /// The ids that were appended to it, those after the end of the text included.
    pub output: Vec<u32>,
    /// Forward evaluations: calls of the network, a guided one with its doubled batch counting once.
    pub nfe: usize,
    /// The number of tokens that the request's constraint left no choice in, which took no forward.
    pub forced: usize,
    /// How probable a valid answer was without the constraint ([`Generation::log_mass`]), in nats; `None` without one.
    pub log_mass: Option<f64>,
    /// Which token was committed where, at which step, and how sure the model was.
    pub trace: Trace,
}

/// Why an answer's text is no longer than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// An end of the text or of the turn follows it.
    Stop,
    /// It takes up all the length that it was given.
    Length,
}

/// The ids that end an answer: those of the end of the text, of which a config may list several, and that of the end of a
/// turn of a conversation.
///
/// Diffusion fills an answer to its full length, so that ids which mean nothing follow its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    of_text: Vec<u32>,
    of_turn: Option<u32>,
}

impl Ends {
    pub(crate) fn new(eos: u32, other_eos: &[u32], eot: Option<u32>) -> Self {
        Self { of_text: [&[eos], other_eos].concat(), of_turn: eot }
    }

    /// The ids before the first end, be it of the text or of the turn.
    pub fn cut<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let end = ids.iter().position(|id| self.of_text.contains(id) || self.of_turn == Some(*id));
        &ids[..end.unwrap_or(ids.len())]
    }

    /// The ids before the first end of the text. Ends of turns are ids like any other.
    pub fn cut_at_end_of_text<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let end = ids.iter().position(|id| self.of_text.contains(id));
        &ids[..end.unwrap_or(ids.len())]
    }
}

impl Checkpoint {
    /// The answer that a generation amounts to.
    pub(crate) fn answer(&self, generation: Generation) -> Result<Answer, Error> {
        let (forced, log_mass) = (generation.forced(), generation.log_mass());
        let Generation { prompt, output, nfe, trace, .. } = generation;
        let is_cut = self.ends.cut(&output).len() < output.len();
        Ok(Answer {
            text: self.text(&prompt, &output)?,
            finish_reason: if is_cut { FinishReason::Stop } else { FinishReason::Length },
            prompt,
            output,
            nfe,
            forced,
            log_mass,
            trace,
        })
    }

    /// The text of an answer that may have masks left, which appear as they are spelled.
    pub(crate) fn text(&self, prompt: &[u32], output: &[u32]) -> Result<String, Error> {
        let tokenizer = self.tokenizer()?;
        let ids = if output.is_empty() { prompt } else { self.ends.cut(output) };
        Ok(tokenizer.decode_masked(ids, tokenizer.mask())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_any_end_of_text_and_a_message_at_the_end_of_a_turn_too() {
        let ends = Ends::new(1, &[2], Some(3));
        for end in [1, 2] {
            assert_eq!(ends.cut(&[7, end, 8]), [7]);
            assert_eq!(ends.cut_at_end_of_text(&[7, 3, end, 8]), [7, 3]);
        }
        assert_eq!(ends.cut(&[7, 3, 8, 1]), [7]);
        assert_eq!(ends.cut(&[7, 8]), [7, 8]);
        assert_eq!(Ends::new(1, &[], None).cut(&[7, 3, 1]), [7, 3]);
    }
}
