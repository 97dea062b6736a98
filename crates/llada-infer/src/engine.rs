//! The engine: takes requests to the mask predictor step by step, alone or as one ragged batch.
//!
//! Each row of a batch has its own canvas, block and schedule, so rows of different lengths and options share a forward
//! and none waits for another; one that is done leaves the batch.

use std::ops::ControlFlow;

use llada_core::{
    predictor::{CacheSlot, MaskPredictor, Row},
    trace::{Trace, TraceStep},
};

use crate::{
    InferError, SamplerConfig, SpecialTokens,
    canvas::Canvas,
    decoder::Prediction,
    length::eos_confidence,
    logits::{LogitsBuffers, LogitsReader, LogitsRow},
    predict::predict,
    vocabulary::Vocabulary,
};

/// A prompt, masks in it or not, and how to sample its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Token ids of the prompt; masks in it are filled too.
    pub prompt: Vec<u32>,
    /// The sampler's options.
    pub config: SamplerConfig,
}

impl Request {
    /// One request for each of `prompts`, with seeds that count up from `config`'s: requests of one seed would share their
    /// noise.
    pub fn for_each(prompts: &[Vec<u32>], config: &SamplerConfig) -> Vec<Self> {
        let config = |index| SamplerConfig { seed: config.seed.wrapping_add(index), ..config.clone() };
        (0..).zip(prompts).map(|(index, prompt)| Self { prompt: prompt.clone(), config: config(index) }).collect()
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Generation {
    /// The prompt, its masks filled.
    pub prompt: Vec<u32>,
    /// The answer: as many ids as the policy of its length made it, or up to the end-of-text token that it stopped at.
    pub output: Vec<u32>,
    /// Forward evaluations: calls of the predictor, a guided one with its doubled batch counting once.
    pub nfe: usize,
    /// How the answer came about.
    pub trace: Trace,
}

impl Generation {
    /// Tokens that its steps committed and did not take back.
    pub fn committed(&self) -> usize {
        self.trace.committed_at().into_iter().flatten().count()
    }
}

/// What a callback sees after each step of a request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Index of the request in its batch.
    pub request: usize,
    /// The sequence, prompt and answer, after the step.
    pub canvas: &'a [u32],
    /// What the step committed: positions, tokens, confidences.
    pub step: &'a TraceStep,
}

/// Samples from, and scores with, one mask predictor.
#[derive(Debug)]
pub struct Engine<P> {
    pub(crate) predictor: P,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) buffers: LogitsBuffers,
    predictions: Vec<Prediction>,
}

impl<P: MaskPredictor> Engine<P> {
    /// An engine over `predictor`.
    pub fn new(predictor: P, special: SpecialTokens) -> Self {
        let vocabulary = Vocabulary::new(&predictor, special);
        Self { predictor, vocabulary, buffers: LogitsBuffers::default(), predictions: Vec::new() }
    }

    /// The predictor.
    pub fn predictor(&self) -> &P {
        &self.predictor
    }

    /// Samples one answer.
    ///
    /// # Errors
    /// As [`generate_batch`](Self::generate_batch).
    pub fn generate(&mut self, request: &Request) -> Result<Generation, InferError> {
        let mut answers = self.generate_batch(std::slice::from_ref(request), |_| ControlFlow::Continue(()))?;
        Ok(answers.remove(0))
    }

    /// Samples the answers of a ragged batch; each is what it would be alone.
    ///
    /// `observe` is called after each step of each request, and may stop them all.
    ///
    /// # Errors
    /// Some request is impossible, the predictor fails or gives logits that are not finite, or `observe` stopped.
    pub fn generate_batch(
        &mut self,
        requests: &[Request],
        mut observe: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, InferError> {
        let mut canvases = requests.iter().map(|request| self.check(request)).collect::<Result<Vec<_>, _>>()?;
        while canvases.iter().any(|canvas| !canvas.finished) {
            let Self { predictor, vocabulary, buffers, predictions } = self;
            let mut hidden = forward(predictor, &mut canvases)?;
            let mut row = 0;
            for (request, canvas) in canvases.iter_mut().enumerate().filter(|(_, canvas)| !canvas.finished) {
                let unconditional = canvas.guided().then_some((row + 1, canvas.config.cfg_scale));
                let mut reader =
                    LogitsReader { hidden: &mut hidden, row: LogitsRow { row, unconditional }, buffers: &mut *buffers };
                row += 1 + usize::from(canvas.guided());
                canvas.eos_confidence = None;
                if canvas.is_judged() {
                    canvas.eos_confidence = Some(eos_confidence(&mut reader, vocabulary, canvas)?);
                }
                if !canvas.lengthen() {
                    predict(&mut reader, vocabulary, canvas, predictions)?;
                    canvas.commit(predictions);
                }
                if canvas.config.stop_at_eos {
                    canvas.stop();
                }
                if let Some(step) = canvas.trace.steps.last() {
                    let progress = Progress { request, canvas: &canvas.ids, step };
                    if observe(progress).is_break() {
                        return Err(InferError::Interrupted);
                    }
                }
            }
        }
        for slot in 0..2 * canvases.len() {
            self.predictor.release(CacheSlot(slot));
        }
        let answer = |canvas: Canvas| {
            let (prompt, output, trace) = canvas.into_parts();
            Generation { prompt, output, nfe: trace.steps.iter().map(|step| step.nfe).sum(), trace }
        };
        Ok(canvases.into_iter().map(answer).collect())
    }

    /// Checks what can be known of a request before its first step.
    ///
    /// # Errors
    /// An option is impossible, or prompt and answer together are too long.
    pub fn validate(&self, request: &Request) -> Result<(), InferError> {
        self.check(request).map(drop)
    }

    fn check(&self, request: &Request) -> Result<Canvas, InferError> {
        let unknown = request.prompt.iter().position(|&id| !self.vocabulary.knows(id));
        if let Some(position) = unknown {
            return Err(InferError::UnknownId { id: request.prompt[position], position, limit: self.vocabulary.end() });
        }
        let Vocabulary { mask_id, special, .. } = self.vocabulary;
        Canvas::new(request, mask_id, special.eos, self.predictor.max_sequence_length())
    }
}

/// One forward over every canvas that is not finished; a guided one is two rows.
fn forward<'a, P: MaskPredictor>(predictor: &'a mut P, canvases: &mut [Canvas]) -> Result<P::Hidden<'a>, InferError> {
    let mut rows = Vec::with_capacity(2 * canvases.len());
    for (request, canvas) in canvases.iter_mut().enumerate().filter(|(_, canvas)| !canvas.finished) {
        canvas.prepare();
        let canvas: &Canvas = canvas;
        // Guidance keeps its own keys and values.
        let sequences = [Some(&canvas.ids), canvas.guided().then_some(&canvas.unconditional)];
        for (slot, ids) in (2 * request..).zip(sequences.into_iter().flatten()) {
            rows.push(Row {
                ids,
                wanted: &canvas.wanted,
                shadowed: canvas.decoder.verifies(),
                cache: canvas.is_cached().then_some(CacheSlot(slot)),
                recompute: canvas.recompute(),
            });
        }
    }
    predictor.forward(&rows).map_err(InferError::predict)
}
