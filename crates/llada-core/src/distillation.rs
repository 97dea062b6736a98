//! Distillation for parallel decoding: a model learns from answers that it decoded itself, one token a step, to be certain of
//! many tokens at once.
//!
//! A row shows the answer as block-wise decoding does: earlier blocks are clean, later ones masked, and of one block a part
//! is masked. Besides the cross-entropy of the block's masked tokens, the entropy of those predictions that are right
//! already is lowered. A second row masks the other part of the block, so that every token is learnt.
//!
//! | method | the part that is masked | source |
//! |---|---|---|
//! | dParallel | a random half | [2509.26488](https://arxiv.org/abs/2509.26488) |
//! | d3LLM | what was masked when the answer was decoded | [2601.07568](https://arxiv.org/abs/2601.07568) |

use crate::CoreError;
use crate::policy::View;
use crate::rng::Stream;

/// An answer that was decoded block by block.
#[derive(Clone, Copy, Debug)]
pub struct Trajectory<'a> {
    /// The ids of prompt and answer.
    pub ids: &'a [u32],
    /// The number of tokens of the prompt.
    pub prompt_length: usize,
    /// The step at which each token of the answer was committed, counted from 0.
    pub step_of_token: &'a [usize],
    /// The number of tokens of a block.
    pub block_length: usize,
}

impl Trajectory<'_> {
    /// Returns the two views of dParallel: the tokens of block `block` whose number is below `p_mask` masked, and the
    /// others. The tokens of later blocks are masked in both, and not scored.
    ///
    /// # Errors
    /// If the answer has no such block.
    pub fn random_halves(
        &self,
        block: usize,
        p_mask: f64,
        noise: &Stream,
        mask_id: u32,
    ) -> Result<[View; 2], CoreError> {
        let start = self.start(block)?;
        self.halves(block, |token| noise.at((token - start) as u32) < p_mask, mask_id)
    }

    /// Returns the two views of d3LLM: the tokens of block `block` that were masked when `tokens_out` tokens of the answer
    /// had been committed, and the others. The tokens of later blocks are masked in both, and not scored.
    ///
    /// # Errors
    /// If the answer has no such block, or not one step per token.
    pub fn decoded_halves(&self, block: usize, tokens_out: usize, mask_id: u32) -> Result<[View; 2], CoreError> {
        CoreError::check_length("step_of_token", self.step_of_token.len(), self.ids.len() - self.prompt_length)?;
        let mut steps = self.step_of_token.to_vec();
        steps.sort_unstable();
        let first_masked = steps.get(tokens_out).copied().unwrap_or(usize::MAX);
        self.halves(block, |token| self.step_of_token[token] >= first_masked, mask_id)
    }

    /// Returns the views with the tokens of a block masked where `is_masked`, and with the others masked.
    fn halves(&self, block: usize, is_masked: impl Fn(usize) -> bool, mask_id: u32) -> Result<[View; 2], CoreError> {
        let start = self.start(block)?;
        let length = self.ids.len() - self.prompt_length;
        let end = length.min(start + self.block_length);
        let mut views = [(); 2].map(|()| View { ids: self.ids.to_vec(), scored: Vec::new() });
        for token in start..end {
            let view = &mut views[usize::from(!is_masked(token))];
            view.ids[self.prompt_length + token] = mask_id;
            view.scored.push(self.prompt_length + token);
        }
        for view in &mut views {
            view.ids[self.prompt_length + end..].fill(mask_id);
        }
        Ok(views)
    }

    /// Returns the first token of a block of the answer.
    fn start(&self, block: usize) -> Result<usize, CoreError> {
        CoreError::check_positive("block_length", self.block_length)?;
        let length = self.ids.len() - self.prompt_length;
        let start = block * self.block_length;
        CoreError::check_index("block", block, length.div_ceil(self.block_length))?;
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [u32; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    fn trajectory(step_of_token: &[usize]) -> Trajectory<'_> {
        Trajectory { ids: &IDS, prompt_length: 2, step_of_token, block_length: 4 }
    }

    #[test]
    fn halves_show_what_was_decoded_and_complement_each_other() {
        let [masked, rest] = trajectory(&[1, 0, 3, 2, 4, 5]).decoded_halves(0, 2, 99).unwrap();
        assert_eq!((masked.ids, masked.scored), (vec![1, 2, 3, 4, 99, 99, 99, 99], vec![4, 5]));
        assert_eq!((rest.ids, rest.scored), (vec![1, 2, 99, 99, 5, 6, 99, 99], vec![2, 3]));
        let [masked, rest] = trajectory(&[1, 0, 3, 2, 4, 5]).decoded_halves(1, 6, 99).unwrap();
        assert_eq!((masked.ids, masked.scored), (IDS.to_vec(), vec![]));
        assert_eq!((rest.ids, rest.scored), (vec![1, 2, 3, 4, 5, 6, 99, 99], vec![6, 7]));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        assert!(trajectory(&[0; 6]).decoded_halves(2, 0, 99).is_err());
        assert!(trajectory(&[0; 5]).decoded_halves(0, 0, 99).is_err());
        assert!(Trajectory { block_length: 0, ..trajectory(&[0; 6]) }.decoded_halves(0, 0, 99).is_err());
    }
}
