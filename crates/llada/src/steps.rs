//! A generation step by step, as an iterator.

use std::iter::FusedIterator;

use llada_core::trace::TraceStep;
use llada_infer::{Event, Generation, Growth, JobId, Progress, Request};

use crate::{Answer, Error, Model, checkpoint::Checkpoint};

/// The steps of a generation, and its answer at the end. Each is taken when it is asked for.
///
/// Dropping it, as leaving a `for` loop does, cancels the generation. Other jobs of the engine rest meanwhile.
#[derive(Debug)]
pub struct Steps<'a> {
    model: &'a mut Model,
    job: JobId,
    prompt_length: usize,
    /// What the last step left, until it is handed out.
    generation: Option<Generation>,
}

/// What comes next of a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// A step was taken.
    Step(Step),
    /// The answer is complete; nothing follows.
    Finished(Answer),
}

/// A step of a generation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The text of the answer so far, as [`Answer::text`] will be, with its masks as the tokenizer spells them.
    pub text: String,
    /// The ids of prompt and answer after the step.
    pub canvas: Vec<u32>,
    /// What the step committed and took back.
    pub taken: TraceStep,
    /// The masks that were put into the sequence after the step.
    pub growth: Option<Growth>,
    /// The length of the prefix of `canvas`, prompt included, that no later step changes.
    pub settled: usize,
}

impl Step {
    fn new(progress: Progress<'_>, prompt_length: usize, checkpoint: &Checkpoint) -> Result<Self, Error> {
        let (prompt, output) = progress.canvas.split_at(prompt_length);
        Ok(Self {
            text: checkpoint.text(prompt, output)?,
            canvas: progress.canvas.to_owned(),
            taken: progress.step.clone(),
            growth: progress.growth,
            settled: progress.settled,
        })
    }
}

impl<'a> Steps<'a> {
    pub(crate) fn begin(model: &'a mut Model, request: Request) -> Result<Self, Error> {
        let prompt_length = request.prompt.len();
        let job = model.engine.submit(request)?;
        Ok(Self { model, job, prompt_length, generation: None })
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Update, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Model { engine, checkpoint, .. } = &mut *self.model;
        if let Some(generation) = self.generation.take() {
            return Some(checkpoint.answer(generation).map(Update::Finished));
        }
        let mut update = None;
        // Of a job that is over the engine has nothing to tell, and so the iterator ends.
        engine.advance(&[self.job], |_, event| match event {
            Event::Step(progress) => {
                update = Some(Step::new(progress, self.prompt_length, checkpoint).map(Update::Step));
            }
            Event::Finished(generation) => self.generation = Some(generation),
            Event::Failed(error) => update = Some(Err(error.into())),
            _ => (),
        });
        update
    }
}

impl FusedIterator for Steps<'_> {}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        self.model.engine.cancel(self.job);
    }
}
