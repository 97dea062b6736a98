//! What a run minimises: each kind of training is a [`Loss`], which knows its data, and of what a step's gradient is.
//!
//! A loss sees no optimizer, no files of the run and no clock, and what it does at a step is a function of the seed,
//! the step and the weights.

mod certain;
pub(crate) mod distillation;
pub(crate) mod masked;
pub(crate) mod policy;
pub(crate) mod preference;

use std::{collections::BTreeMap, fmt, ops::ControlFlow, path::Path};

use llada_infer::{Engine, Generation, InferError, Request, SpecialTokens};
use llada_model::TrainableTransformer;

pub(crate) use self::certain::Certainty;
use crate::{TrainError, collective::Collective, data::Tally, objective::MaskedBatch};

/// Hears how much of a preparation is done, of how much, and says whether it goes on.
pub(crate) type Observe<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// Says whether this process is asked to stop. What the others are asked, it does not know.
pub(crate) type IsStopped<'a> = dyn FnMut() -> bool + 'a;

/// A loss with the data that it is of.
pub(crate) trait Loss: fmt::Debug {
    /// Computes what is the same in all steps, or goes on with it after an interruption. `is_begun` says whether
    /// `model` has made steps.
    ///
    /// # Errors
    /// The model fails, or a file; a process cannot be reached.
    fn prepare(
        &mut self,
        _model: &mut TrainableTransformer,
        _is_begun: bool,
        _observe: &mut Observe<'_>,
        _collective: &mut dyn Collective,
    ) -> Result<ControlFlow<()>, TrainError> {
        Ok(ControlFlow::Continue(()))
    }

    /// Lets the model say what step `step`, counted from 0, learns from, unless earlier steps have. If any process is
    /// stopped, all of them are, and the loss stays as it was.
    ///
    /// # Errors
    /// The model fails, or the collective.
    fn roll_out(
        &mut self,
        _model: &mut TrainableTransformer,
        _step: u64,
        _is_stopped: &mut IsStopped<'_>,
        _collective: &mut dyn Collective,
    ) -> Result<ControlFlow<()>, TrainError> {
        Ok(ControlFlow::Continue(()))
    }

    /// Whether [`lesson`](Self::lesson) and [`roll_out`](Self::roll_out) ask the model anything.
    fn asks_the_model(&self) -> bool {
        true
    }

    /// What step `step`, counted from 0, learns: the share of this process.
    ///
    /// # Errors
    /// The model or the collective fails; the data does.
    fn lesson(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<Lesson, TrainError>;

    /// The digest of the data.
    fn digest(&self) -> &str;

    /// What was read and left out of data that is read while the run lasts.
    fn tally(&self) -> Option<Tally> {
        None
    }

    /// Writes what later steps depend on, beside weights and data, into the folder of a checkpoint.
    ///
    /// # Errors
    /// A file cannot be written.
    fn save(&self, _checkpoint: &Path) -> Result<(), TrainError> {
        Ok(())
    }

    /// Takes over what [`save`](Self::save) has written.
    ///
    /// # Errors
    /// A file cannot be read.
    fn restore(&mut self, _checkpoint: &Path) -> Result<(), TrainError> {
        Ok(())
    }
}

/// What a step learns.
#[derive(Debug, Default)]
pub(crate) struct Lesson {
    /// This process's share, in the pieces that are computed together. The gradient of the loss is that of their weighted
    /// cross-entropies and entropies.
    pub(crate) batches: Vec<MaskedBatch>,
    /// The value of this process's share, in nats; none if it is that of the weighted cross-entropies.
    pub(crate) loss: Option<f64>,
    /// The number of tokens that all processes see.
    pub(crate) tokens: u64,
    /// What the kind of training has to tell beside, of all processes.
    pub(crate) details: BTreeMap<String, f64>,
}

/// An answer of the model.
struct Answered {
    /// The prompt, with its masks filled in.
    prompt: Vec<u32>,
    ids: Vec<u32>,
    /// The step at which each token of the answer was committed, counted from 0.
    step_of_token: Vec<usize>,
}

/// Lets the model answer `requests`, unless it is stopped after a step of the engine.
fn answer(
    model: &mut TrainableTransformer,
    requests: &[Request],
    is_stopped: &mut IsStopped<'_>,
) -> Result<ControlFlow<(), Vec<Answered>>, TrainError> {
    let special = SpecialTokens { eos: model.config().eos_token_id, eot: None };
    let mut last = None;
    let generations = Engine::new(model, special).generate_batch(requests, |progress| {
        // Jobs tell of a step in their order, so the next step begins with one that is not behind the last.
        let is_first = last.replace(progress.job).is_none_or(|last| progress.job <= last);
        if is_first && is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if matches!(generations, Err(InferError::Interrupted)) {
        return Ok(ControlFlow::Break(()));
    }
    let mut answers = Vec::with_capacity(requests.len());
    for Generation { prompt, output: ids, trace, .. } in generations? {
        let committed = trace.committed_at();
        let step_of_token = committed[prompt.len()..].iter().map(|step| step.unwrap_or(0)).collect();
        answers.push(Answered { prompt, ids, step_of_token });
    }
    Ok(ControlFlow::Continue(answers))
}

/// The cross-entropies of the batch's wanted tokens, computed at most `micro_batch_size` rows at once.
fn cross_entropy(
    model: &mut TrainableTransformer,
    batch: &MaskedBatch,
    micro_batch_size: usize,
) -> Result<Vec<f32>, TrainError> {
    let mut losses = Vec::with_capacity(batch.weights().len());
    for micro_batch in batch.micro_batches(micro_batch_size) {
        losses.extend(model.cross_entropy(&micro_batch.batch())?);
    }
    Ok(losses)
}
