//! A step of the engine: one forward over the jobs whose turn it is, and the step of each job.

use std::collections::BTreeSet;

use llada_core::predictor::{Hidden, MaskPredictor, Row};

use super::{ActiveJob, Engine, Event, JobId, Progress};
use crate::{
    InferError,
    active::ActiveRequest,
    decoder::Prediction,
    logits::{LogitsBuffers, LogitsReader, LogitsRow},
    score::ActiveScore,
    step::Growth,
    vocabulary::Vocabulary,
};

impl<P: MaskPredictor> Engine<P> {
    /// Advances as many jobs as fit into a forward over at most `max_tokens` tokens, and at least one job, if any is
    /// running.
    ///
    /// Jobs take turns: those that have waited longest come first, and those that took a step go to the end of the queue.
    /// The answer of a job does not depend on the turns.
    pub fn step(&mut self, max_tokens: usize, observe: impl FnMut(JobId, Event<'_>)) {
        let (mut turn, mut tokens) = (Vec::new(), 0_usize);
        for &id in &self.turns {
            tokens = tokens.saturating_add(self.jobs.get(&id).map_or(0, ActiveJob::next_tokens));
            // The first job that does not fit ends the turn. If it were skipped, small jobs could starve a large one.
            if !turn.is_empty() && tokens > max_tokens {
                break;
            }
            turn.push(id);
        }
        self.turns.rotate_left(turn.len());
        self.advance(&turn, observe);
    }

    /// Advances each of `jobs` by one step, in one forward. Jobs that are not running are ignored.
    ///
    /// `observe` is called with the events of each job. A job that fails does not affect the others: if a forward over
    /// several jobs fails, it is repeated with half of them until the cause is isolated.
    pub fn advance(&mut self, jobs: &[JobId], mut observe: impl FnMut(JobId, Event<'_>)) {
        // In the order of the ids, so that the batch does not depend on the order of the argument.
        let distinct: BTreeSet<JobId> = jobs.iter().copied().collect();
        let running: Vec<JobId> = distinct.into_iter().filter(|id| self.jobs.contains_key(id)).collect();
        if !running.is_empty() {
            self.forward(&running, &mut observe);
        }
    }

    fn forward(&mut self, ids: &[JobId], observe: &mut dyn FnMut(JobId, Event<'_>)) {
        let Self { predictor, vocabulary, buffers, predictions, jobs, load, .. } = self;
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(2 * ids.len());
        let mut first_rows = Vec::with_capacity(ids.len());
        for id in ids {
            first_rows.push(rows.len());
            jobs[id].push_rows(&mut rows);
        }
        // The hidden states borrow the predictor, so jobs that end are removed, and their slots released, afterwards.
        let mut outcomes = Vec::with_capacity(ids.len());
        let failure = match predictor.forward(&rows) {
            Ok(mut hidden) => {
                for (&id, row) in ids.iter().zip(first_rows) {
                    let mut turn = Turn { hidden: &mut hidden, row, vocabulary, buffers, predictions, load: *load };
                    let outcome = match jobs.get_mut(&id) {
                        Some(ActiveJob::Generate(request)) => turn.generate(id, request, observe),
                        Some(ActiveJob::Score(score)) => turn.score(id, score, observe),
                        None => Ok(false),
                    };
                    outcomes.push((id, outcome));
                }
                None
            }
            Err(error) => Some(InferError::predict(error)),
        };
        for (id, outcome) in outcomes {
            match outcome {
                Ok(false) => (),
                Ok(true) => self.finish(id, observe),
                Err(error) => self.fail(id, error, observe),
            }
        }
        let Some(error) = failure else { return };
        match *ids {
            // The failure may have emptied a slot, so the job is tried once more without reusing anything.
            [id] if self.refresh(id) => self.forward(ids, observe),
            [id] => self.fail(id, error, observe),
            _ => {
                let (first, second) = ids.split_at(ids.len() / 2);
                self.forward(first, observe);
                self.forward(second, observe);
            }
        }
    }

    /// Makes the next forward of a job compute everything. Returns true if it would have reused something.
    fn refresh(&mut self, id: JobId) -> bool {
        match self.jobs.get_mut(&id) {
            Some(ActiveJob::Generate(request)) => request.refresh(),
            Some(ActiveJob::Score(_)) | None => false,
        }
    }

    fn finish(&mut self, id: JobId, observe: &mut dyn FnMut(JobId, Event<'_>)) {
        let Some(job) = self.remove(id) else { return };
        let event = match job {
            ActiveJob::Generate(request) => Event::Finished(request.into_generation()),
            ActiveJob::Score(score) => match score.into_scores() {
                Ok(scores) => Event::Scored(scores),
                Err(error) => Event::Failed(error),
            },
        };
        observe(id, event);
    }

    fn fail(&mut self, id: JobId, error: InferError, observe: &mut dyn FnMut(JobId, Event<'_>)) {
        self.remove(id);
        observe(id, Event::Failed(error));
    }
}

/// The part of one job in a step. Its methods return true if the job has ended.
struct Turn<'a, H> {
    hidden: &'a mut H,
    /// The index of the job's first row in the forward.
    row: usize,
    vocabulary: &'a Vocabulary,
    buffers: &'a mut LogitsBuffers,
    predictions: &'a mut Vec<Prediction>,
    load: f32,
}

impl<H: Hidden> Turn<'_, H> {
    fn generate(
        &mut self,
        job: JobId,
        request: &mut ActiveRequest,
        observe: &mut dyn FnMut(JobId, Event<'_>),
    ) -> Result<bool, InferError> {
        // What was forced from the start took no forward, and is a step of its own for the observer.
        if request.has_unobserved() {
            tell(job, request, None, observe);
            return Ok(request.is_finished());
        }
        loop {
            let row = LogitsRow::of_state(self.row, request.state(), request.cfg_scale());
            let mut reader = LogitsReader { hidden: &mut *self.hidden, row, buffers: &mut *self.buffers };
            let growth = request.step(&mut reader, self.vocabulary, self.predictions, self.load)?;
            tell(job, request, growth, observe);
            if request.is_finished() || !request.is_computed() {
                return Ok(request.is_finished());
            }
        }
    }

    fn score(
        &mut self,
        job: JobId,
        score: &mut ActiveScore,
        observe: &mut dyn FnMut(JobId, Event<'_>),
    ) -> Result<bool, InferError> {
        score.step(self.hidden, self.row, self.buffers, self.vocabulary)?;
        let (done, all) = score.samples();
        observe(job, Event::Sampled { done, all });
        Ok(done == all)
    }
}

/// Tells the observer of the steps that it does not know yet.
fn tell(job: JobId, request: &mut ActiveRequest, growth: Option<Growth>, observe: &mut dyn FnMut(JobId, Event<'_>)) {
    let (unobserved, settled) = (request.unobserved(), request.settled());
    let canvas = request.sequence().ids.as_slice();
    for step in &request.sequence().trace.steps[unobserved] {
        observe(job, Event::Step(Progress { job, canvas, step, growth, settled }));
    }
}
