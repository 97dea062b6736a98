//! The state of a training and the step that moves it: gradient, clipping, optimizer, moving average.
//!
//! Nothing here reads data, writes files or looks at a clock.

use std::collections::BTreeMap;

use llada_core::rng::Noise;
use llada_model::{ParameterSlice, TrainableTransformer, norm_of};

use crate::{
    TrainError,
    collective::{Collective, gather},
    config::RunConfig,
    loss::{Lesson, Loss},
    objective::MaskedBatch,
    optimizer::{Optimizer, Shard},
};

/// Everything that a step changes, and that a checkpoint keeps.
#[derive(Debug)]
pub(crate) struct TrainState {
    pub(crate) model: TrainableTransformer,
    pub(crate) optimizer: Optimizer,
    /// The exponential moving average of the weights, in the share of the optimizer's moments.
    pub(crate) ema: Option<ParameterSlice>,
    /// The number of steps that were made.
    pub(crate) step: u64,
    /// The number of tokens that were seen.
    pub(crate) tokens: u64,
}

/// What a step computed on its way.
#[derive(Debug)]
pub(crate) struct StepReport {
    /// In nats.
    pub(crate) loss: f64,
    /// The routers' auxiliary loss, where the model has it.
    pub(crate) router_aux_loss: Option<f64>,
    /// The gradient's norm before it is clipped.
    pub(crate) grad_norm: f64,
    /// The learning rate.
    pub(crate) lr: f64,
    /// The number of tokens that were seen.
    pub(crate) tokens: u64,
    /// What the loss has to tell beside its value.
    pub(crate) details: BTreeMap<String, f64>,
}

impl TrainState {
    /// The state before the first step.
    pub(crate) fn new(
        mut model: TrainableTransformer,
        config: &RunConfig,
        collective: &dyn Collective,
    ) -> Result<Self, TrainError> {
        let (rank, world_size) = (collective.rank(), collective.world_size());
        if config.shard >= Shard::Gradient {
            model.divide(rank, world_size, config.shard == Shard::Weights)?;
        }
        let optimizer = Optimizer::of_share(&model, config.optimizer, config.shard, rank, world_size)?;
        let mut ema = None;
        if config.ema_decay.is_some() {
            let mut average = optimizer.exp_avg.zeros_like()?;
            average.copy_from(&model.weights_of(&optimizer.exp_avg)?)?;
            ema = Some(average);
        }
        Ok(Self { model, optimizer, ema, step: 0, tokens: 0 })
    }

    /// Makes a step down the gradient of `loss`, of which this process computes its share.
    ///
    /// # Errors
    /// The loss or the gradient is not finite; the model or the collective fails.
    pub(crate) fn advance(
        &mut self,
        loss: &mut dyn Loss,
        config: &RunConfig,
        collective: &mut dyn Collective,
    ) -> Result<StepReport, TrainError> {
        let step = self.step + 1;
        self.model.clear_gradient()?;
        let Lesson { batches, loss, tokens, details } = loss.lesson(&mut self.model, self.step, collective)?;
        // Before anything is clipped or refused: what follows has to be the same in every process.
        let of_batches = self.accumulate(&batches, config, collective)?;
        let loss = loss.unwrap_or(of_batches);
        let router_aux_loss = self.model.router_aux_loss();
        let own_norm = self.own_norm(collective)?;
        let mut sums = [loss, router_aux_loss.unwrap_or(0.0), own_norm];
        collective.sum_all(&mut sums)?;
        let [loss, of_routers, grad_norm] = sums;
        let router_aux_loss = router_aux_loss.map(|_| of_routers);
        check_finite("loss", step, loss)?;
        check_finite("gradient norm", step, grad_norm)?;
        let lr = config.schedule.lr(step, config.steps);
        self.optimizer.step(&mut self.model, step, lr, grad_norm)?;
        self.optimizer.share_weights(&mut self.model, collective)?;
        if let (Some(ema), Some(decay)) = (&mut self.ema, config.ema_decay) {
            ema.lerp(&self.model.weights_of(ema)?, 1.0 - decay)?;
        }
        self.step = step;
        self.tokens = self.tokens.saturating_add(tokens);
        Ok(StepReport { loss, router_aux_loss, grad_norm, lr, tokens, details })
    }
}

impl TrainState {
    /// Adds the gradients of all processes up, of which this one computes that of `batches`, and returns the weighted sum
    /// of their cross-entropies.
    fn accumulate(
        &mut self,
        batches: &[MaskedBatch],
        config: &RunConfig,
        collective: &mut dyn Collective,
    ) -> Result<f64, TrainError> {
        let noise = Noise::new(config.seed);
        let mut passes = batches.len();
        if self.model.is_divided() {
            // All processes take part in every pass.
            passes = gather(collective, vec![passes])?.into_iter().max().unwrap_or(passes);
        }
        let mut loss = 0.0;
        for pass in 0..passes.max(1) {
            let is_last = pass + 1 >= passes;
            let Some(batch) = batches.get(pass) else {
                self.model.accumulate_with(None, is_last, collective)?;
                continue;
            };
            self.model.key_dropout(noise, self.step as u32, batch.first_row());
            loss += batch.loss(&self.model.accumulate_with(Some(&batch.batch()), is_last, collective)?)?;
        }
        Ok(loss)
    }

    /// The norm of the gradient in rank 0, and 0 in the others: its rounding depends on the processor, hence all clip by that
    /// of one process.
    fn own_norm(&self, collective: &mut dyn Collective) -> Result<f64, TrainError> {
        let is_first = collective.rank() == 0;
        if !self.model.is_divided() {
            return Ok(if is_first { self.model.gradient().norm()? } else { 0.0 });
        }
        let mut norms = self.model.gradient_norms()?;
        collective.sum_all(&mut norms)?;
        Ok(if is_first { norm_of(&norms) } else { 0.0 })
    }
}

fn check_finite(what: &'static str, step: u64, value: f64) -> Result<(), TrainError> {
    if value.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { what, step, value }) }
}
