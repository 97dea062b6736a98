//! The autoregressive baseline: greedy decoding from left to right, of the most probable next token.
//!
//! It exists for the comparison with LLaDA and keeps no keys: each token takes a forward over all that stands before it.

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

/// A continuation, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Continuation {
    /// What follows the prompt: `gen_length` ids, or up to the end of the text or of the turn, that included.
    pub output: Vec<u32>,
    /// Forward evaluations.
    pub nfe: usize,
}

impl<P: MaskPredictor> Engine<P> {
    /// Continues each of `prompts`, none of them empty, with at most `gen_length` tokens. The predictor has to be causal.
    ///
    /// `observe` is called after each forward, and may stop them all.
    ///
    /// # Errors
    /// A prompt is empty or too long, the predictor fails or gives logits that are not finite, or `observe` stopped.
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
        let mut going: Vec<usize> = (0..texts.len()).collect();
        for _ in 0..gen_length {
            let last: Vec<[usize; 1]> = going.iter().map(|&text| [texts[text].len() - 1]).collect();
            let rows: Vec<Row<'_>> =
                going.iter().zip(&last).map(|(&text, last)| Row::new(&texts[text], last)).collect();
            let mut hidden = self.predictor.forward(&rows).map_err(InferError::predict)?;
            for (row, &text) in going.iter().enumerate() {
                let row = LogitsRow { row, unconditional: None };
                let mut reader = LogitsReader { hidden: &mut hidden, row, buffers: &mut self.buffers };
                let logits = reader.read(0..1)?;
                if logits.iter().any(|logit| logit.is_nan()) {
                    return Err(InferError::NotFinite { position: texts[text].len() });
                }
                let token = without(logits, &self.vocabulary.banned, argmax);
                texts[text].push(token);
            }
            let special = self.vocabulary.special;
            going.retain(|&text| texts[text].last().is_some_and(|&id| id != special.eos && Some(id) != special.eot));
            if observe().is_break() {
                return Err(InferError::Interrupted);
            }
            if going.is_empty() {
                break;
            }
        }
        let continuation = |(text, prompt): (Vec<u32>, &Vec<u32>)| {
            let output = text[prompt.len()..].to_vec();
            Continuation { nfe: output.len(), output }
        };
        Ok(texts.into_iter().zip(prompts).map(continuation).collect())
    }
}
