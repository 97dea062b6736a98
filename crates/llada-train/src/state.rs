//! The state of a training and the step that moves it: gradient, clipping, optimizer, moving average.
//!
//! Nothing here reads data, writes files or looks at a clock.

use llada_core::rng::Noise;
use llada_model::{Parameters, TrainableTransformer};

use crate::{TrainError, collective::Collective, config::RunConfig, objective::MaskedBatch, optimizer::Optimizer};

/// Everything that a step changes, and that a checkpoint keeps.
#[derive(Debug)]
pub(crate) struct TrainState {
    pub(crate) model: TrainableTransformer,
    pub(crate) optimizer: Optimizer,
    /// The exponential moving average of the weights.
    pub(crate) ema: Option<Parameters>,
    /// The number of steps that were made.
    pub(crate) step: u64,
    /// The number of tokens that were seen.
    pub(crate) tokens: u64,
}

/// What a step computed on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepReport {
    /// In nats.
    pub(crate) loss: f64,
    /// The routers' auxiliary loss, where the model has it.
    pub(crate) router_aux_loss: Option<f64>,
    /// The gradient's norm before it is clipped.
    pub(crate) grad_norm: f64,
    /// The learning rate.
    pub(crate) lr: f64,
}

impl TrainState {
    /// The state before the first step.
    pub(crate) fn new(model: TrainableTransformer, config: &RunConfig) -> Result<Self, TrainError> {
        let optimizer = Optimizer::new(&model, config.optimizer)?;
        let mut ema = None;
        if config.ema_decay.is_some() {
            let mut average = model.weights().zeros_like()?;
            average.copy_from(model.weights())?;
            ema = Some(average);
        }
        Ok(Self { model, optimizer, ema, step: 0, tokens: 0 })
    }

    /// Makes a step on `batch`, of which this process computes its share.
    ///
    /// # Errors
    /// The loss or the gradient is not finite; the model or the collective fails.
    pub(crate) fn advance(
        &mut self,
        batch: &MaskedBatch,
        config: &RunConfig,
        collective: &mut dyn Collective,
    ) -> Result<StepReport, TrainError> {
        let step = self.step + 1;
        let loss = self.accumulate(batch, config, collective)?;
        check_finite("loss", step, loss)?;
        let router_aux_loss = self.model.router_aux_loss().map(|loss| collective.sum(loss)).transpose()?;
        let grad_norm = self.model.gradient().norm()?;
        check_finite("gradient norm", step, grad_norm)?;
        let lr = config.schedule.lr(step, config.steps);
        self.optimizer.step(&mut self.model, step, lr)?;
        if let (Some(ema), Some(decay)) = (&mut self.ema, config.ema_decay) {
            ema.lerp(self.model.weights(), 1.0 - decay)?;
        }
        self.step = step;
        self.tokens = self.tokens.saturating_add(batch.tokens() as u64);
        Ok(StepReport { loss, router_aux_loss, grad_norm, lr })
    }

    /// Computes the gradient of the whole batch, in all processes together, and returns the loss.
    fn accumulate(
        &mut self,
        batch: &MaskedBatch,
        config: &RunConfig,
        collective: &mut dyn Collective,
    ) -> Result<f64, TrainError> {
        self.model.clear_gradient()?;
        let (mut loss, noise) = (0.0, Noise::new(config.seed));
        let share = batch.share(collective.rank(), collective.world_size());
        for micro_batch in share.micro_batches(config.micro_batch_size()) {
            self.model.key_dropout(noise, self.step as u32, micro_batch.first_row());
            loss += micro_batch.loss(&self.model.accumulate(&micro_batch.batch())?)?;
        }
        // Before anything is clipped or refused: what follows has to be the same in every process.
        collective.sum_parameters(self.model.gradient_mut())?;
        collective.sum(loss)
    }
}

fn check_finite(what: &'static str, step: u64, value: f64) -> Result<(), TrainError> {
    if value.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { what, step, value }) }
}
