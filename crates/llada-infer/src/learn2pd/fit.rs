//! Fits a filter to examples: binary cross-entropy of the masked places, by Adam.

use llada_core::{
    CoreError,
    rng::{Domain, Noise, Stream},
};
use serde::Serialize;

use super::{Example, Filter, Layer};
use crate::{
    InferError,
    error::{check_positive, check_range},
};

/// The published τ.
const THRESHOLD: f32 = 0.96;
const BATCH: usize = 64;
const BETAS: [f32; 2] = [0.9, 0.999];
const EPS: f32 = 1e-8;

/// How a filter is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// How often each example is seen.
    pub epochs: usize,
    /// The learning rate of Adam.
    pub lr: f32,
    /// The seed of the first weights and of the order.
    pub seed: u64,
}

impl Default for Fit {
    fn default() -> Self {
        Self { epochs: 200, lr: 1e-3, seed: 0 }
    }
}

/// How well a filter tells what is final, at its threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quality {
    /// The number of masked places.
    pub places: usize,
    /// How many of them had a final prediction.
    pub is_final: usize,
    /// How many the filter commits.
    pub committed: usize,
    /// How many of those were final.
    pub right: usize,
}

impl Fit {
    /// Fits a filter to the steps of blocks of `block_length` tokens. The same examples give the same filter.
    ///
    /// # Errors
    /// There is no example, or one of another block length; the learning rate is not a positive number.
    pub fn filter(&self, block_length: usize, examples: &[Example]) -> Result<Filter, InferError> {
        check_positive("block_length", block_length)?;
        check_positive("examples", examples.len())?;
        check_range("lr", self.lr, [f32::MIN_POSITIVE, 1.0])?;
        if let Some(other) =
            examples.iter().map(|example| example.confidence.len()).find(|&found| found != block_length)
        {
            return Err(CoreError::Length { name: "example", found: other, expected: block_length }.into());
        }
        let weights = Noise::new(self.seed).domain(Domain::Weight);
        let orders = Noise::new(self.seed).domain(Domain::Shuffle);
        let mut filter = Filter {
            block_length,
            threshold: THRESHOLD,
            hidden: Layer::random(block_length, weights.stream(0, 0, 0)),
            output: Layer::random(block_length, weights.stream(0, 1, 0)),
        };
        let mut optimizer = Adam::new(filter.parameters(), self.lr);
        let mut order: Vec<usize> = (0..examples.len()).collect();
        for epoch in 0..self.epochs {
            orders.stream(0, epoch as u32, 0).shuffle(&mut order);
            for batch in order.chunks(BATCH) {
                let mut gradient = filter.zeros_like();
                for &index in batch {
                    filter.add_gradient(&examples[index], &mut gradient);
                }
                optimizer.step(&mut filter, &gradient, batch.len());
            }
        }
        Ok(filter)
    }
}

impl Filter {
    /// Counts what the filter commits of the predictions of `examples`.
    pub fn quality(&self, examples: &[Example]) -> Quality {
        let mut quality = Quality::default();
        for example in examples {
            let (_, probabilities) = self.forward(&example.confidence);
            for &(place, is_final) in &example.is_final {
                let is_committed = probabilities[place] >= self.threshold;
                quality.places += 1;
                quality.is_final += usize::from(is_final);
                quality.committed += usize::from(is_committed);
                quality.right += usize::from(is_committed && is_final);
            }
        }
        quality
    }

    fn zeros_like(&self) -> Self {
        let zeros = |layer: &Layer| Layer { weight: vec![0.0; layer.weight.len()], bias: vec![0.0; layer.bias.len()] };
        Self { hidden: zeros(&self.hidden), output: zeros(&self.output), ..*self }
    }

    /// Weights and biases in one order.
    fn values_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        let layers = [&mut self.hidden, &mut self.output];
        layers.into_iter().flat_map(|layer| layer.weight.iter_mut().chain(&mut layer.bias))
    }

    fn values(&self) -> impl Iterator<Item = &f32> {
        [&self.hidden, &self.output].into_iter().flat_map(|layer| layer.weight.iter().chain(&layer.bias))
    }

    /// Adds the gradient of the mean cross-entropy of an example's masked places.
    fn add_gradient(&self, example: &Example, gradient: &mut Self) {
        let (hidden, probabilities) = self.forward(&example.confidence);
        let mut of_logits = vec![0.0; self.block_length];
        for &(place, is_final) in &example.is_final {
            of_logits[place] = (probabilities[place] - f32::from(u8::from(is_final))) / example.is_final.len() as f32;
        }
        gradient.output.add_outer(&of_logits, &hidden);
        let mut of_hidden = vec![0.0; self.block_length];
        for (row, of_logit) in self.output.weight.chunks_exact(self.block_length).zip(&of_logits) {
            for (of_value, weight) in of_hidden.iter_mut().zip(row) {
                *of_value += of_logit * weight;
            }
        }
        for (of_value, value) in of_hidden.iter_mut().zip(&hidden) {
            if *value <= 0.0 {
                *of_value = 0.0;
            }
        }
        gradient.hidden.add_outer(&of_hidden, &example.confidence);
    }
}

impl Layer {
    /// Uniform within ±1/√n, as PyTorch begins a linear layer of n inputs.
    fn random(length: usize, mut stream: Stream) -> Self {
        let bound = 1.0 / (length as f64).sqrt();
        let mut draw = |count: usize| (0..count).map(|_| (bound * (2.0 * stream.uniform() - 1.0)) as f32).collect();
        Self { weight: draw(length * length), bias: draw(length) }
    }

    /// Adds `column` times `row`, and `column` to the bias.
    fn add_outer(&mut self, column: &[f32], row: &[f32]) {
        for ((weights, bias), factor) in self.weight.chunks_exact_mut(row.len()).zip(&mut self.bias).zip(column) {
            *bias += factor;
            for (weight, value) in weights.iter_mut().zip(row) {
                *weight += factor * value;
            }
        }
    }
}

/// Adam (arXiv 1412.6980).
struct Adam {
    lr: f32,
    step: i32,
    moments: Vec<[f32; 2]>,
}

impl Adam {
    fn new(parameters: usize, lr: f32) -> Self {
        Self { lr, step: 0, moments: vec![[0.0; 2]; parameters] }
    }

    fn step(&mut self, filter: &mut Filter, gradient: &Filter, count: usize) {
        self.step += 1;
        let correction = BETAS.map(|beta| 1.0 - beta.powi(self.step));
        for ((value, gradient), moments) in filter.values_mut().zip(gradient.values()).zip(&mut self.moments) {
            let gradient = gradient / count as f32;
            for (moment, (beta, power)) in
                moments.iter_mut().zip(BETAS.into_iter().zip([gradient, gradient * gradient]))
            {
                *moment = beta * *moment + (1.0 - beta) * power;
            }
            let [mean, square] = [moments[0] / correction[0], moments[1] / correction[1]];
            *value -= self.lr * mean / (square.sqrt() + EPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(filter: &Filter, example: &Example) -> f64 {
        let (_, probabilities) = filter.forward(&example.confidence);
        let of = |&(place, is_final): &(usize, bool)| {
            let probability = f64::from(probabilities[place]);
            -(if is_final { probability } else { 1.0 - probability }).ln()
        };
        example.is_final.iter().map(of).sum::<f64>() / example.is_final.len() as f64
    }

    /// The gradient is that of the loss, by differences of every weight.
    #[test]
    fn the_gradient_is_that_of_cross_entropy() {
        let example =
            Example { confidence: vec![0.3, 1.0, 0.9, 0.5], is_final: vec![(0, false), (2, true), (3, true)] };
        let mut filter = Fit { epochs: 0, ..Fit::default() }.filter(4, std::slice::from_ref(&example)).unwrap();
        let mut gradient = filter.zeros_like();
        filter.add_gradient(&example, &mut gradient);
        let gradient: Vec<f32> = gradient.values().copied().collect();
        for (index, &expected) in gradient.iter().enumerate() {
            const STEP: f32 = 1.0 / 128.0;
            let mut at = |difference: f32| {
                *filter.values_mut().nth(index).unwrap() += difference;
                loss(&filter, &example)
            };
            let (above, below) = (at(STEP), at(-2.0 * STEP));
            at(STEP);
            let found = (above - below) / f64::from(2.0 * STEP);
            assert!((found - f64::from(expected)).abs() < 1e-3, "weight {index}: {found}, not {expected}");
        }
    }
}
