//! What the engine works on: answers to generate and answers to score.

use std::fmt;

use llada_core::{
    predictor::{CacheSlot, Recompute, Row},
    trace::TraceStep,
};

use crate::{
    Generation, InferError, Request, Score, ScoreConfig, ScoreRequest, active::ActiveRequest, score::ActiveScore,
    step::Growth,
};

/// The name of a job in its engine. Ids count up in the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(super) u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// What can be submitted to an engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Job {
    /// An answer to generate. It ends in [`Event::Finished`].
    Generate(Request),
    /// Options of one question to score, under the same masks. It ends in [`Event::Scored`].
    Score {
        /// The options.
        options: Vec<ScoreRequest>,
        /// How to score them.
        config: ScoreConfig,
    },
}

impl From<Request> for Job {
    fn from(request: Request) -> Self {
        Self::Generate(request)
    }
}

/// What happened to a job in a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A generation took a step.
    Step(Progress<'a>),
    /// A generation has its answer; the job is over.
    Finished(Generation),
    /// A mini-batch of samples was scored.
    Sampled {
        /// Samples so far.
        done: usize,
        /// Samples that there will be.
        all: usize,
    },
    /// The options are scored; the job is over.
    Scored(Vec<Score>),
    /// The job failed; it is over, and no other job is touched.
    Failed(InferError),
}

/// A step of a generation: all that a stream of it has to tell.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The generation's job. Those of a batch count up in the order of its requests.
    pub job: JobId,
    /// The sequence, prompt and answer, after the step.
    pub canvas: &'a [u32],
    /// The number of the step and of its block; the tokens that it committed, with their confidences; and the positions
    /// that it masked again. Positions are those after the growth.
    pub step: &'a TraceStep,
    /// The masks that were put into the sequence after the step.
    pub growth: Option<Growth>,
    /// The length of the prefix of the sequence, prompt included, that no later step changes.
    pub settled: usize,
}

/// What the next step of a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepCost {
    /// The tokens that its forward computes.
    pub tokens: usize,
    /// The bytes that its slots hold at most, while it runs.
    pub kept_bytes: usize,
    /// The forwards that it takes from here at most, this one included; `None` if that is not known.
    pub forwards_left: Option<usize>,
}

/// A job that runs.
pub(super) enum ActiveJob {
    Generate(Box<ActiveRequest>),
    Score(Box<ActiveScore>),
}

impl ActiveJob {
    /// Appends the rows of its next forward.
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

    /// The tokens that its next forward computes.
    pub(super) fn next_tokens(&self) -> usize {
        let mut rows = Vec::new();
        self.push_rows(&mut rows);
        rows.iter().map(Row::computed_tokens).sum()
    }

    /// What its next step takes, where `kept_bytes` is what a slot holds of a row of that length.
    pub(super) fn cost(&self, kept_bytes: impl Fn(usize, &Recompute) -> usize) -> StepCost {
        let tokens = self.next_tokens();
        match self {
            Self::Generate(request) => {
                let of_slot = kept_bytes(request.sequence().max_len, request.recompute());
                let kept_bytes = request.slots().len() * of_slot;
                StepCost { tokens, kept_bytes, forwards_left: request.forwards_left() }
            }
            Self::Score(score) => StepCost { tokens, kept_bytes: 0, forwards_left: Some(score.forwards_left()) },
        }
    }
}
