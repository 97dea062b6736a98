//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) whose memory can be saved: decoupled weight decay on matrices
//! alone, and gradients clipped by their global norm.

use llada_model::{AdamW, Parameters, TrainableLlada};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Settings that do not change from step to step; the defaults are those of SMDM, LLaDA's precedent in small.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Decay of the moving averages of the gradient and of its square \[0.9, 0.95\].
    pub betas: [f64; 2],
    /// Added to the root of the second \[1e-8\].
    pub eps: f64,
    /// Decoupled weight decay of matrices \[0.1\].
    pub weight_decay: f64,
    /// Longer gradients are scaled to this norm \[1.0\].
    pub clip: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, clip: 1.0 }
    }
}

/// AdamW and what it remembers.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Moving average of the gradient.
    pub exp_avg: Parameters,
    /// Moving average of its square.
    pub exp_avg_sq: Parameters,
}

impl Optimizer {
    /// One that has seen no gradient of `model` yet.
    ///
    /// # Errors
    /// There is no memory for its state.
    pub fn new(model: &TrainableLlada, config: OptimizerConfig) -> Result<Self, TrainError> {
        let weights = model.weights();
        Ok(Self { config, exp_avg: weights.zeros_like()?, exp_avg_sq: weights.zeros_like()? })
    }

    /// Moves the weights by step `step`, counted from 1, and clears the gradient.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn step(&mut self, model: &mut TrainableLlada, step: u64, lr: f64) -> Result<(), TrainError> {
        let OptimizerConfig { betas, eps, weight_decay, clip } = self.config;
        let settings = AdamW { lr, betas, eps, weight_decay };
        model.adamw([&mut self.exp_avg, &mut self.exp_avg_sq], step, settings, clip)?;
        Ok(model.clear_gradient()?)
    }
}
