//! The autoregressive baseline: greedy decoding of the most probable next token, from left to right.
//!
//! It is meant for comparisons with LLaDA and has no KV cache: each token takes a forward over everything before it.

use std::ops::ControlFlow;

use llada_core::{
    predictor::{MaskPredictor, Row},
    sampling::argmax,
};

use crate::{
    Engine, InferError,
    logits::{LogitsReader, LogitsRow},
    prediction::without,
};

/// A continuation of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Continuation {
    /// The ids after the prompt: `gen_length` ids, or fewer if the last one is end-of-text or end-of-turn.
    pub output: Vec<u32>,
    /// The number of forward evaluations.
    pub nfe: usize,
}

impl<P: MaskPredictor> Engine<P> {
    /// Continues each of `prompts` with at most `gen_length` tokens. The predictor must be causal.
    ///
    /// `observe` is called after each forward and can stop the batch.
    ///
    /// # Errors
    /// If a prompt is empty or too long, if the predictor fails or its logits are not finite, or if `observe` stops the
    /// batch.
    pub fn continue_greedily(
        &mut self,
        prompts: &[Vec<u32>],
        gen_length: usize,
        mut observe: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Continuation>, InferError> {
        if prompts.iter().any(Vec::is_empty) {
            return Err(InferError::NothingToDo);
        }
        let mut texts = prompts.to_vec();
        let mut unfinished: Vec<usize> = (0..texts.len()).collect();
        for _ in 0..gen_length {
            // A causal model predicts the next token at the last position.
            let last_positions: Vec<[usize; 1]> = unfinished.iter().map(|&text| [texts[text].len() - 1]).collect();
            let mut rows = Vec::with_capacity(unfinished.len());
            for (&text, last) in unfinished.iter().zip(&last_positions) {
                rows.push(Row::new(&texts[text], last));
            }
            let mut hidden = self.predictor.forward(&rows).map_err(InferError::predict)?;
            for (row, &text) in unfinished.iter().enumerate() {
                let row = LogitsRow::new(row, 0.0);
                let mut reader = LogitsReader { hidden: &mut hidden, row, buffers: &mut self.buffers };
                let logits = reader.read(0..1)?;
                if logits.iter().any(|logit| logit.is_nan()) {
                    return Err(InferError::NotFinite { position: texts[text].len() });
                }
                let token = without(logits, &self.vocabulary.banned, argmax);
                texts[text].push(token);
            }
            let special = self.vocabulary.special;
            unfinished
                .retain(|&text| texts[text].last().is_some_and(|&id| id != special.eos && Some(id) != special.eot));
            if observe().is_break() {
                return Err(InferError::Interrupted);
            }
            if unfinished.is_empty() {
                break;
            }
        }
        let mut continuations = Vec::with_capacity(texts.len());
        for (text, prompt) in texts.iter().zip(prompts) {
            let output = text[prompt.len()..].to_vec();
            continuations.push(Continuation { nfe: output.len(), output });
        }
        Ok(continuations)
    }
}
