//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) with decoupled weight decay on matrices alone, and with gradients
//! clipped by their global norm. Its moments can be saved.

use llada_model::{AdamW, Parameters, TrainableTransformer};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The settings of AdamW that do not change from step to step. The defaults are those of SMDM, the small models that
/// preceded LLaDA.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The decays of the moving averages of the gradient and of its square \[0.9, 0.95\].
    pub betas: [f64; 2],
    /// The number added to the root of the second average \[1e-8\].
    pub eps: f64,
    /// The decoupled weight decay of matrices \[0.1\].
    pub weight_decay: f64,
    /// The norm that longer gradients are scaled to \[1.0\].
    pub clip: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, clip: 1.0 }
    }
}

/// AdamW with its moments.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// The moving average of the gradient.
    pub exp_avg: Parameters,
    /// The moving average of the gradient's square.
    pub exp_avg_sq: Parameters,
}

impl Optimizer {
    /// An optimizer that has seen no gradient of `model` yet.
    ///
    /// # Errors
    /// There is no memory for the moments.
    pub fn new(model: &TrainableTransformer, config: OptimizerConfig) -> Result<Self, TrainError> {
        let weights = model.weights();
        Ok(Self { config, exp_avg: weights.zeros_like()?, exp_avg_sq: weights.zeros_like()? })
    }

    /// Moves the weights by step `step`, counted from 1, and clears the gradient.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn step(&mut self, model: &mut TrainableTransformer, step: u64, lr: f64) -> Result<(), TrainError> {
        let OptimizerConfig { betas, eps, weight_decay, clip } = self.config;
        let settings = AdamW { lr, betas, eps, weight_decay };
        model.adamw([&mut self.exp_avg, &mut self.exp_avg_sq], step, settings, clip)?;
        Ok(model.clear_gradient()?)
    }
}
