//! The jobs of an engine, which are answers to generate and answers to score, and their events.

use std::fmt;

use llada_core::{
    predictor::{CacheSlot, MaskPredictor, Row},
    trace::TraceStep,
};

use crate::{
    Generation, InferError, Request, Score, ScoreConfig, ScoreRequest, active::ActiveRequest, score::ActiveScore,
    step::Growth,
};

/// The id of a job in its engine. Ids ascend in the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(super) u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// A task that can be submitted to an engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Job {
    /// Generate an answer. The job ends with [`Event::Finished`].
    Generate(Box<Request>),
    /// Score the options of one question under the same masks. The job ends with [`Event::Scored`].
    Score {
        /// The options of the question.
        options: Vec<ScoreRequest>,
        /// The settings of the estimator.
        config: ScoreConfig,
    },
}

impl From<Request> for Job {
    fn from(request: Request) -> Self {
        Self::Generate(Box::new(request))
    }
}

/// An event of a job in a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A generation took a step.
    Step(Progress<'a>),
    /// A generation is complete. The job has ended.
    Finished(Generation),
    /// A mini-batch of samples was scored.
    Sampled {
        /// The number of samples so far.
        done: usize,
        /// The number of all samples.
        all: usize,
    },
    /// All options are scored. The job has ended.
    Scored(Vec<Score>),
    /// The job failed and has ended. Other jobs are not affected.
    Failed(InferError),
}

/// A step of a generation.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The job of the generation. The jobs of a batch ascend in the order of its requests.
    pub job: JobId,
    /// The ids of prompt and answer after the step.
    pub canvas: &'a [u32],
    /// The record of the step. Its positions are those after the growth.
    pub step: &'a TraceStep,
    /// The masks that were inserted after the step, if any.
    pub growth: Option<Growth>,
    /// The length of the prefix of the canvas, including the prompt, that no later step can change.
    pub settled: usize,
}

/// The cost of a job's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepCost {
    /// The number of tokens that the forward computes.
    pub tokens: usize,
    /// The largest size of the job's cache slots while it runs, in bytes.
    pub kept_bytes: usize,
    /// An upper bound of the remaining forwards, including the next one; `None` if there is none.
    pub forwards_left: Option<usize>,
}

/// A running job.
pub(super) enum ActiveJob {
    Generate(Box<ActiveRequest>),
    Score(Box<ActiveScore>),
}

impl ActiveJob {
    /// Appends the rows of the next forward.
    pub(super) fn push_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>) {
        match self {
            Self::Generate(request) => request.push_rows(rows),
            Self::Score(score) => score.push_rows(rows),
        }
    }

    pub(super) fn slots(&self) -> &[CacheSlot] {
        match self {
            Self::Generate(request) => request.slots(),
            Self::Score(_) => &[],
        }
    }

    /// Returns the number of tokens that the next forward computes.
    pub(super) fn next_tokens(&self) -> usize {
        let mut rows = Vec::new();
        self.push_rows(&mut rows);
        rows.iter().map(Row::computed_tokens).sum()
    }

    /// Returns the cost of the next step with `predictor`.
    pub(super) fn cost(&self, predictor: &impl MaskPredictor) -> StepCost {
        let tokens = self.next_tokens();
        match self {
            Self::Generate(request) => {
                let slot_bytes = predictor.kept_bytes(request.sequence().max_len, request.recompute());
                let kept_bytes = request.slots_needed() * slot_bytes;
                StepCost { tokens, kept_bytes, forwards_left: request.forwards_left() }
            }
            Self::Score(score) => StepCost { tokens, kept_bytes: 0, forwards_left: Some(score.forwards_left()) },
        }
    }
}
