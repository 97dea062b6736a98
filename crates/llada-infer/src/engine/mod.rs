//! The engine: takes jobs to the mask predictor step by step, alone or as one ragged batch.
//!
//! Jobs join by [`submit`](Engine::submit) and leave when they end, between any two steps. Each has its own block and
//! schedule, so jobs of different lengths and options share a forward and none waits for another. An engine has no
//! threads, no clock and no channels: whoever owns it decides when the next step is.

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
    Generation, InferError, Request, SpecialTokens, active::ActiveRequest, decoder::Prediction, logits::LogitsBuffers,
    score::ActiveScore, vocabulary::Vocabulary,
};
use job::ActiveJob;
pub use job::{Event, Job, JobId, Progress, StepCost};
use slots::Slots;

/// Samples from, and scores with, one mask predictor.
pub struct Engine<P> {
    pub(crate) predictor: P,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) buffers: LogitsBuffers,
    predictions: Vec<Prediction>,
    jobs: BTreeMap<JobId, ActiveJob>,
    /// The running jobs, in the order in which they take their turns.
    turns: VecDeque<JobId>,
    slots: Slots,
    next_id: u64,
}

impl<P: MaskPredictor> Engine<P> {
    /// An engine over `predictor`.
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
        }
    }

    /// The predictor.
    pub fn predictor(&self) -> &P {
        &self.predictor
    }

    /// Checks what can be known of a request before its first step.
    ///
    /// # Errors
    /// An option is impossible, or prompt and answer together are too long.
    pub fn validate(&self, request: &Request) -> Result<(), InferError> {
        self.activate(request).map(drop)
    }

    /// Takes a job in. It takes its first step with the next [`step`](Self::step).
    ///
    /// # Errors
    /// An option is impossible, or a sequence too long. Nothing is taken in then.
    pub fn submit(&mut self, job: impl Into<Job>) -> Result<JobId, InferError> {
        let job = match job.into() {
            Job::Generate(request) => {
                let mut active = self.activate(&request)?;
                let slots = (0..active.slots_needed()).map(|_| self.slots.take()).collect();
                active.set_slots(slots);
                ActiveJob::Generate(Box::new(active))
            }
            Job::Score { options, config } => {
                let max_sequence_length = self.predictor.max_sequence_length();
                let score = ActiveScore::new(options, config, self.vocabulary.mask_id, max_sequence_length)?;
                ActiveJob::Score(Box::new(score))
            }
        };
        let id = JobId(self.next_id);
        self.next_id += 1;
        self.jobs.insert(id, job);
        self.turns.push_back(id);
        Ok(id)
    }

    /// Ends a job, and returns what there is of its answer; masks are left in it. `None` if no such job runs, or if it is
    /// a score, of which a part is nothing.
    pub fn cancel(&mut self, id: JobId) -> Option<Generation> {
        match self.remove(id)? {
            ActiveJob::Generate(request) => Some(request.into_generation()),
            ActiveJob::Score(_) => None,
        }
    }

    /// Limits the forwards that a running generation takes from now on; its answer is complete after them. Returns
    /// whether there is such a generation.
    ///
    /// The answer grows no longer than it is, and where there are more blocks left than forwards, blocks become longer.
    pub fn hurry(&mut self, id: JobId, forwards: NonZeroUsize) -> bool {
        match self.jobs.get_mut(&id) {
            Some(ActiveJob::Generate(request)) => {
                request.hurry(forwards);
                true
            }
            Some(ActiveJob::Score(_)) | None => false,
        }
    }

    /// What the next step of a running job takes.
    pub fn cost(&self, id: JobId) -> Option<StepCost> {
        let kept_bytes = |length: usize, recompute: &_| self.predictor.kept_bytes(length, recompute);
        Some(self.jobs.get(&id)?.cost(kept_bytes))
    }

    /// The running jobs, in the order in which they will take their turns.
    pub fn running(&self) -> impl Iterator<Item = JobId> {
        self.turns.iter().copied()
    }

    fn activate(&self, request: &Request) -> Result<ActiveRequest, InferError> {
        ActiveRequest::new(request, &self.vocabulary, self.predictor.max_sequence_length())
    }

    /// Takes a job out, and empties its slots.
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
