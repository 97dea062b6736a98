//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) with decoupled weight decay on matrices alone, and with gradients
//! clipped by their global norm. Its moments can be saved, and divided among the processes of a run (ZeRO, Rajbhandari et
//! al. 2020, arXiv 1910.02054).

use llada_model::{AdamW, ParameterSlice, Parameters, TrainableTransformer};
use serde::{Deserialize, Serialize};

use crate::{TrainError, collective::Collective};

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

/// What the processes of a run divide among them, instead of each keeping the whole. Each also divides what those before it
/// do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shard {
    /// Nothing.
    #[default]
    None,
    /// The moments of the optimizer, and the moving average of the weights (ZeRO stage 1): each process moves its share of
    /// the weights, and the others get it from there.
    Optimizer,
    /// The gradient too (stage 2). It is summed block by block after each micro-batch, and a process keeps its share.
    Gradient,
    /// The weights too (stage 3). Those of a block are gathered before it is computed, forwards and backwards, and blocks are
    /// computed twice. They are whole while the model is validated, answers or is saved.
    Weights,
}

/// AdamW with its moments, or with a process's share of them.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    shard: Shard,
    /// The moving average of the gradient.
    pub exp_avg: ParameterSlice,
    /// The moving average of the gradient's square.
    pub exp_avg_sq: ParameterSlice,
}

impl Optimizer {
    /// An optimizer that has seen no gradient of `model` yet, with all moments.
    ///
    /// # Errors
    /// There is no memory for the moments.
    pub fn new(model: &TrainableTransformer, config: OptimizerConfig) -> Result<Self, TrainError> {
        Self::of_share(model, config, Shard::None, 0, 1)
    }

    /// An optimizer that has seen no gradient of `model` yet, as process `rank` of `world_size` has it.
    ///
    /// # Errors
    /// There is no memory for the moments.
    pub fn of_share(
        model: &TrainableTransformer,
        config: OptimizerConfig,
        shard: Shard,
        rank: usize,
        world_size: usize,
    ) -> Result<Self, TrainError> {
        let own = match shard {
            Shard::None => model.weights().slice(0, 1)?,
            _ => model.weights().slice(rank, world_size)?,
        };
        Ok(Self { config, shard, exp_avg: own.zeros_like()?, exp_avg_sq: own.zeros_like()? })
    }

    /// Moves the weights, or this process's share of them, by step `step`, counted from 1, and clears the gradient,
    /// whose norm is `grad_norm`, the same number in all processes.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn step(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        lr: f64,
        grad_norm: f64,
    ) -> Result<(), TrainError> {
        let OptimizerConfig { betas, eps, weight_decay, clip } = self.config;
        let settings = AdamW { lr, betas, eps, weight_decay };
        model.adamw([&mut self.exp_avg, &mut self.exp_avg_sq], step, settings, (grad_norm / clip).max(1.0))?;
        Ok(model.clear_gradient()?)
    }

    /// Gets the weights that other processes have moved.
    ///
    /// # Errors
    /// A process cannot be reached.
    pub fn share_weights(
        &self,
        model: &mut TrainableTransformer,
        collective: &mut dyn Collective,
    ) -> Result<(), TrainError> {
        if matches!(self.shard, Shard::Optimizer | Shard::Gradient) {
            model.exchange_weights(collective.world_size(), collective)?;
        }
        Ok(())
    }

    /// The whole of what this process has `own` of, such as the moving average; rank 0 alone gets it. `weights` says what it
    /// is of. It is put together in the memory of the CPU, since a device may have no room for what was divided to save it.
    pub(crate) fn gather(
        &self,
        own: &ParameterSlice,
        weights: &Parameters,
        collective: &mut dyn Collective,
    ) -> Result<Option<Parameters>, TrainError> {
        let (rank, world_size) = (collective.rank(), collective.world_size());
        if self.shard == Shard::None || world_size == 1 {
            return Ok(own.whole().filter(|_| rank == 0));
        }
        let whole = if rank == 0 { Some(weights.zeros_on_cpu()?) } else { None };
        for root in 0..world_size {
            let mut slice = match &whole {
                Some(whole) => whole.slice(root, world_size)?,
                None => weights.slice(root, world_size)?.zeros_on_cpu()?,
            };
            if rank == root {
                slice.copy_from(own)?;
            }
            collective.broadcast(&mut slice, root)?;
        }
        Ok(whole)
    }
}
