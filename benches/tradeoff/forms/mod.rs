//! What a constraint buys and costs: the tasks whose questions prescribe a form, with and without it, in few steps.
//!
//! The form is a regular expression, such as a row of sixteen digits of which the puzzle gives some. It says how a right
//! answer looks, and not which one is right.

mod measure;
mod picture;
mod report;

pub(crate) use self::{measure::measure, picture::steps, report::FormReport};

use llada_tasks::Tally;
use serde::Serialize;

/// The steps that are measured. Without a constraint, more than these are what the schedule is for.
const STEPS: [usize; 4] = [1, 2, 4, 8];

/// A task at a number of steps, free or constrained to the form.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FormCell {
    task: &'static str,
    steps: usize,
    is_constrained: bool,
    #[serde(flatten)]
    score: Score,
    /// What an answer took.
    nfe_per_answer: f64,
    seconds_per_answer: f64,
    /// The tokens of an answer that the constraint left no choice in.
    forced_per_answer: f64,
}

/// The answers to a task: how many are right, with a 95 % interval, and how many have the form.
#[derive(Debug, Clone, Copy, Serialize)]
struct Score {
    answers: usize,
    accuracy: f64,
    interval: [f64; 2],
    valid: f64,
}

impl Score {
    fn new(right: Tally, valid: usize) -> Self {
        let answers = right.total;
        let valid = valid as f64 / answers.max(1) as f64;
        Self { answers, accuracy: right.exact_match(), interval: right.interval(), valid }
    }
}
