//! The engine, which advances jobs step by step, each with its own options, in ragged batches.
//!
//! A job joins with [`submit`](Engine::submit) and leaves when it ends, between any two steps. Each job has its own block
//! and schedule, so jobs with different lengths and options can share a forward, and none waits for another. An engine has
//! no threads, no clock and no channels: its owner decides when to take the next step.

mod advance;
mod batch;
mod job;
mod slots;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    num::NonZeroUsize,
};

use llada_core::predictor::MaskPredictor;

use crate::{
    Generation, InferError, Request, ScoreConfig, ScoreRequest, SpecialTokens, active::ActiveRequest,
    decoder::Prediction, logits::LogitsBuffers, score::ActiveScore, vocabulary::Vocabulary,
};
use job::ActiveJob;
pub use job::{Event, Job, JobId, Progress, StepCost};
use slots::Slots;

/// A sampler and scorer that owns one mask predictor.
pub struct Engine<P> {
    pub(crate) predictor: P,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) buffers: LogitsBuffers,
    predictions: Vec<Prediction>,
    jobs: BTreeMap<JobId, ActiveJob>,
    /// The running jobs, in the order of their turns.
    turns: VecDeque<JobId>,
    slots: Slots,
    next_id: u64,
    load: f32,
}

impl<P: MaskPredictor> Engine<P> {
    /// Creates an engine over `predictor`.
    pub fn new(predictor: P, special: SpecialTokens) -> Self {
        Self {
            vocabulary: Vocabulary::new(&predictor, special),
            predictor,
            buffers: LogitsBuffers::default(),
            predictions: Vec::new(),
            jobs: BTreeMap::new(),
            turns: VecDeque::new(),
            slots: Slots::default(),
            next_id: 0,
            load: 0.0,
        }
    }

    /// Returns the predictor.
    pub fn predictor(&self) -> &P {
        &self.predictor
    }

    /// Returns true if a text may have this token: it may be emitted, and it does not end an answer.
    pub fn is_text(&self, id: u32) -> bool {
        self.vocabulary.is_text(id)
    }

    /// Checks a request without running it.
    ///
    /// # Errors
    /// If an option is invalid, an id is unknown, or prompt and answer together are too long.
    pub fn validate(&self, request: &Request) -> Result<(), InferError> {
        self.activate(request).map(drop)
    }

    /// Checks the options of a question without scoring them.
    ///
    /// # Errors
    /// If an answer is empty, a setting is invalid, an id is unknown, or a sequence is too long.
    pub fn validate_options(&self, options: &[ScoreRequest], config: &ScoreConfig) -> Result<(), InferError> {
        config.validate(options, &self.vocabulary, self.predictor.max_sequence_length())
    }

    /// Checks a job without running it, and returns the cost of its first step.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit).
    pub fn quote(&self, job: &Job) -> Result<StepCost, InferError> {
        Ok(self.prepare(job.clone())?.cost(&self.predictor))
    }

    /// Adds a job to the running ones. Its first step can be the next one.
    ///
    /// # Errors
    /// If the job is invalid, as [`validate`](Self::validate) and [`validate_options`](Self::validate_options) check.
    pub fn submit(&mut self, job: impl Into<Job>) -> Result<JobId, InferError> {
        let mut job = self.prepare(job.into())?;
        if let ActiveJob::Generate(request) = &mut job {
            let slots = (0..request.slots_needed()).map(|_| self.slots.take()).collect();
            request.set_slots(slots);
        }
        let id = JobId(self.next_id);
        self.next_id += 1;
        self.jobs.insert(id, job);
        self.turns.push_back(id);
        Ok(id)
    }

    /// Ends a job and returns its incomplete answer, in which masks remain. Returns `None` if there is no such running job,
    /// or if it is a score, which has no partial result.
    pub fn cancel(&mut self, id: JobId) -> Option<Generation> {
        match self.remove(id)? {
            ActiveJob::Generate(request) => Some(request.into_generation()),
            ActiveJob::Score(_) => None,
        }
    }

    /// Limits the remaining forwards of a running generation, after which its answer is complete. Returns false if there is
    /// no such generation.
    ///
    /// From now on the answer does not grow. If there are more blocks left than forwards, the blocks become longer.
    pub fn hurry(&mut self, id: JobId, forwards: NonZeroUsize) -> bool {
        match self.jobs.get_mut(&id) {
            Some(ActiveJob::Generate(request)) => {
                request.hurry(forwards);
                true
            }
            Some(ActiveJob::Score(_)) | None => false,
        }
    }

    /// Tells the engine how loaded its owner is, from 0 to 1; at first it is 0. From the next step on, requests that have asked
    /// for it (`load_alpha` of the [threshold decoder](crate::decoder::Threshold)) take fewer steps the higher the load is. It
    /// changes no token of any other.
    pub fn set_load(&mut self, load: f32) {
        self.load = if load.is_nan() { 0.0 } else { load.clamp(0.0, 1.0) };
    }

    /// Returns the cost of the next step of a running job.
    pub fn cost(&self, id: JobId) -> Option<StepCost> {
        Some(self.jobs.get(&id)?.cost(&self.predictor))
    }

    /// Returns the ids of prompt and answer of a running generation.
    pub fn canvas(&self, id: JobId) -> Option<&[u32]> {
        match self.jobs.get(&id)? {
            ActiveJob::Generate(request) => Some(&request.sequence().ids),
            ActiveJob::Score(_) => None,
        }
    }

    /// Returns the running jobs, in the order of their turns.
    pub fn running(&self) -> impl Iterator<Item = JobId> {
        self.turns.iter().copied()
    }

    fn prepare(&self, job: Job) -> Result<ActiveJob, InferError> {
        Ok(match job {
            Job::Generate(request) => ActiveJob::Generate(Box::new(self.activate(&request)?)),
            Job::Score { options, config } => {
                let max_sequence_length = self.predictor.max_sequence_length();
                let score = ActiveScore::new(options, config, &self.vocabulary, max_sequence_length)?;
                ActiveJob::Score(Box::new(score))
            }
        })
    }

    fn activate(&self, request: &Request) -> Result<ActiveRequest, InferError> {
        if let Some(suffix_window) = request.config.suffix_window
            && !self.predictor.takes_parts()
        {
            return Err(InferError::SuffixWindow { suffix_window, with: "this model's attention".to_owned() });
        }
        ActiveRequest::new(request, &self.vocabulary, self.predictor.max_sequence_length())
    }

    /// Removes a job and releases its slots.
    fn remove(&mut self, id: JobId) -> Option<ActiveJob> {
        self.turns.retain(|&other| other != id);
        let job = self.jobs.remove(&id)?;
        for &slot in job.slots() {
            self.predictor.release(slot);
            self.slots.put_back(slot);
        }
        Some(job)
    }
}

impl<P: fmt::Debug> fmt::Debug for Engine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("predictor", &self.predictor)
            .field("running", &self.turns)
            .finish_non_exhaustive()
    }
}
