//! What a filter learns from: the steps of a decoder that knows the answer.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use llada_core::predictor::MaskPredictor;

use super::Places;
use crate::{
    Decoder, DecoderConfig, Engine, InferError, Prediction, Progress, Request, SamplerConfig, StepContext,
    decoder::most_confident,
};

/// A step of a block: how confident its predictions were, and which of them were final.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// A number for each place of the block; 1 where a token is committed already.
    pub(super) confidence: Vec<f32>,
    /// The masked places, and whether their prediction is the token of the answer.
    pub(super) is_final: Vec<(usize, bool)>,
}

/// Commits the predictions that are in the answer, and remembers each step.
#[derive(Debug)]
struct Oracle {
    /// The tokens of prompt and answer.
    answer: Vec<u32>,
    block_length: usize,
    examples: Arc<Mutex<Vec<Example>>>,
}

impl Decoder for Oracle {
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let is_final = |prediction: &Prediction| self.answer.get(prediction.position) == Some(&prediction.token);
        let places = Places { end: at.block.end, block_length: self.block_length };
        let place = |prediction: &Prediction| Some((places.of(prediction.position)?, is_final(prediction)));
        let example = Example {
            confidence: places.confidences(predictions),
            is_final: predictions.iter().filter_map(place).collect(),
        };
        self.examples.lock().unwrap_or_else(PoisonError::into_inner).push(example);
        chosen.extend((0..predictions.len()).filter(|&index| is_final(&predictions[index])));
        if chosen.is_empty() {
            most_confident(predictions, 1, chosen);
        }
    }
}

/// Answers a request as the plain sampler does, a token a step, and then once more, committing in each step the predictions
/// that are in that answer, or else the most confident one: an example a step. Blocks and cache are those of the request,
/// decoder and steps are not. `observe` is called after each step and can stop it.
///
/// # Errors
/// Those of [`Engine::generate_batch`].
pub fn examples<P: MaskPredictor>(
    engine: &mut Engine<P>,
    request: &Request,
    mut observe: impl FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Vec<Example>, InferError> {
    let config = SamplerConfig { decoder: DecoderConfig::Schedule, steps: None, ..request.config.clone() };
    let block_length = config.block_length.unwrap_or(config.gen_length);
    let plain = Request { config, ..request.clone() };
    let answers = engine.generate_batch(std::slice::from_ref(&plain), &mut observe)?;
    let answer = answers.into_iter().flat_map(|answer| [answer.prompt, answer.output].concat()).collect();
    let examples = Arc::default();
    let oracle = plain.with_decoder(Oracle { answer, block_length, examples: Arc::clone(&examples) });
    engine.generate_batch(&[oracle], observe)?;
    let mut examples = examples.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut examples))
}
