//! Learn2PD (arXiv 2509.25188): a small network that has learned from a model's own answers which predictions are final.
//!
//! The confidences of a block, 1 where a token is committed already, go through a perceptron with one hidden layer as wide as
//! the block: p = σ(W₂ max(0, W₁ c + b₁) + b₂). Predictions with p ≥ τ are committed, and at least the most confident one.
//! A block of 32 tokens makes 2112 parameters. Published default: τ = 0.96.

mod fit;
mod oracle;

use serde::{Deserialize, Serialize, de::Error as _};

pub use self::{
    fit::{Fit, Quality},
    oracle::{Example, examples},
};
use crate::{Decoder, InferError, Prediction, StepContext, decoder::most_confident, error::check_fraction};

/// A network that tells which predictions are final. It belongs to the model whose answers it has learned from, and to the
/// length of a block.
///
/// As JSON it has `block_length`, `threshold`, and the layers `hidden` and `output`, each with `weight` (row by row, a row for
/// each of its outputs) and `bias`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    block_length: usize,
    /// τ, the probability of being final at which a prediction is committed.
    pub threshold: f32,
    hidden: Layer,
    output: Layer,
}

/// A linear layer between two vectors of the length of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Layer {
    fn apply(&self, input: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(input.len());
        let dot = |row: &[f32]| row.iter().zip(input).map(|(weight, value)| weight * value).sum::<f32>();
        rows.zip(&self.bias).map(|(row, bias)| dot(row) + bias).collect()
    }
}

impl Filter {
    /// Reads a filter from JSON.
    ///
    /// # Errors
    /// The text is no filter; its layers do not fit its block length, or a weight is not finite.
    pub fn from_json(text: &str) -> Result<Self, InferError> {
        let filter: Self = serde_json::from_str(text).map_err(InferError::Filter)?;
        let length = filter.block_length;
        for (name, layer) in [("hidden", &filter.hidden), ("output", &filter.output)] {
            let shape = (Some(layer.weight.len()), layer.bias.len());
            let is_finite = layer.weight.iter().chain(&layer.bias).all(|value| value.is_finite());
            if length == 0 || shape != (length.checked_mul(length), length) || !is_finite {
                let message = format!("layer {name} does not have the finite weights of a block of {length} tokens");
                return Err(InferError::Filter(serde_json::Error::custom(message)));
            }
        }
        Ok(filter)
    }

    /// The number of tokens of a block, for which the filter was trained.
    pub fn block_length(&self) -> usize {
        self.block_length
    }

    /// The number of weights and biases.
    pub fn parameters(&self) -> usize {
        2 * (self.block_length + 1) * self.block_length
    }

    /// The values of the hidden layer, and for each place of a block the probability that its prediction is final.
    fn forward(&self, confidence: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut hidden = self.hidden.apply(confidence);
        hidden.iter_mut().for_each(|value| *value = value.max(0.0));
        let probabilities = self.output.apply(&hidden).into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        (hidden, probabilities)
    }
}

impl Decoder for Filter {
    fn validate(&self) -> Result<(), InferError> {
        check_fraction("threshold", self.threshold)
    }

    /// Masks further than a block from its end, which only a longer block than the filter's has, are committed by confidence
    /// alone, one a step.
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let places = Places { end: at.block.end, block_length: self.block_length };
        let (_, probabilities) = self.forward(&places.confidences(predictions));
        chosen.extend((0..predictions.len()).filter(|&index| {
            let place = places.of(predictions[index].position);
            place.is_some_and(|place| probabilities[place] >= self.threshold)
        }));
        if chosen.is_empty() {
            most_confident(predictions, 1, chosen);
        }
    }
}

/// The places of a block, counted so that its last token has the last one.
#[derive(Clone, Copy)]
struct Places {
    end: usize,
    block_length: usize,
}

impl Places {
    fn of(self, position: usize) -> Option<usize> {
        (position + self.block_length).checked_sub(self.end)
    }

    /// The confidences by place; what is no mask is certain.
    fn confidences(self, predictions: &[Prediction]) -> Vec<f32> {
        let mut confidence = vec![1.0; self.block_length];
        for prediction in predictions {
            if let Some(place) = self.of(prediction.position) {
                confidence[place] = prediction.confidence;
            }
        }
        confidence
    }
}
