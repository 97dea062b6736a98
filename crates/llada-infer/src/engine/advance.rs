//! A step of the engine: one forward over the jobs whose turn it is, and what becomes of each.

use std::collections::BTreeSet;

use llada_core::predictor::{Hidden, MaskPredictor, Row};

use super::{ActiveJob, Engine, Event, JobId, Progress};
use crate::{
    InferError,
    active::ActiveRequest,
    decoder::Prediction,
    logits::{LogitsBuffers, LogitsReader, LogitsRow},
    score::ActiveScore,
    vocabulary::Vocabulary,
};

impl<P: MaskPredictor> Engine<P> {
    /// Takes a step with as many jobs as compute at most `max_tokens` tokens, and at least with one, if one is running.
    ///
    /// Jobs take turns: those that have waited longest come first, and those that took a step wait behind the others. A
    /// job's answer does not depend on it.
    pub fn step(&mut self, max_tokens: usize, observe: impl FnMut(JobId, Event<'_>)) {
        let (mut turn, mut tokens) = (Vec::new(), 0_usize);
        for &id in &self.turns {
            tokens = tokens.saturating_add(self.jobs.get(&id).map_or(0, ActiveJob::next_tokens));
            // The first that does not fit ends the turn: to pass it over would let small jobs starve a large one.
            if !turn.is_empty() && tokens > max_tokens {
                break;
            }
            turn.push(id);
        }
        self.turns.rotate_left(turn.len());
        self.advance(&turn, observe);
    }

    /// Takes a step with these of the running jobs, in one forward. Others are passed over.
    ///
    /// `observe` hears of each job what happened to it. A job that fails does not touch the others: if a forward over
    /// many fails, it is repeated with half of them until the culprit is alone.
    pub fn advance(&mut self, jobs: &[JobId], mut observe: impl FnMut(JobId, Event<'_>)) {
        let distinct: BTreeSet<JobId> = jobs.iter().copied().collect();
        let running: Vec<JobId> = distinct.into_iter().filter(|id| self.jobs.contains_key(id)).collect();
        if !running.is_empty() {
            self.forward(&running, &mut observe);
        }
    }

    fn forward(&mut self, ids: &[JobId], observe: &mut dyn FnMut(JobId, Event<'_>)) {
        let Self { predictor, vocabulary, buffers, predictions, jobs, .. } = self;
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(2 * ids.len());
        let mut first_rows = Vec::with_capacity(ids.len());
        for id in ids {
            first_rows.push(rows.len());
            jobs[id].push_rows(&mut rows);
        }
        let mut outcomes = Vec::with_capacity(ids.len());
        let failure = match predictor.forward(&rows) {
            Ok(mut hidden) => {
                for (&id, row) in ids.iter().zip(first_rows) {
                    let mut turn = Turn { hidden: &mut hidden, row, vocabulary, buffers, predictions };
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
            // A slot may have been lost in the failure, and what was kept there has to be computed anew.
            [id] if self.refresh(id) => self.forward(ids, observe),
            [id] => self.fail(id, error, observe),
            _ => {
                let (first, second) = ids.split_at(ids.len() / 2);
                self.forward(first, observe);
                self.forward(second, observe);
            }
        }
    }

    /// Makes the job's next forward compute everything. Returns whether it was going to reuse something.
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

/// One job's part in a step. Its methods return whether the job is over.
struct Turn<'a, H> {
    hidden: &'a mut H,
    /// The first of the job's rows in the forward.
    row: usize,
    vocabulary: &'a Vocabulary,
    buffers: &'a mut LogitsBuffers,
    predictions: &'a mut Vec<Prediction>,
}

impl<H: Hidden> Turn<'_, H> {
    fn generate(
        &mut self,
        job: JobId,
        request: &mut ActiveRequest,
        observe: &mut dyn FnMut(JobId, Event<'_>),
    ) -> Result<bool, InferError> {
        let unconditional = request.is_guided().then_some((self.row + 1, request.cfg_scale()));
        let row = LogitsRow { row: self.row, unconditional };
        let mut reader = LogitsReader { hidden: &mut *self.hidden, row, buffers: &mut *self.buffers };
        let growth = request.step(&mut reader, self.vocabulary, self.predictions)?;
        if let Some(step) = request.sequence().trace.steps.last() {
            let (canvas, settled) = (request.sequence().ids.as_slice(), request.settled());
            observe(job, Event::Step(Progress { job, canvas, step, growth, settled }));
        }
        Ok(request.is_finished())
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
