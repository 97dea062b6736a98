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
/// The most confident answer, and a temperature at which a trained model strays from the form.
const TEMPERATURES: [f64; 2] = [0.0, HOT];
const HOT: f64 = 2.0;

/// The answers to a task at a temperature in so many steps, free or constrained to the form: sums over the answers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FormCell {
    task: &'static str,
    temperature: f64,
    steps: usize,
    is_constrained: bool,
    answers: usize,
    right: usize,
    /// The answers of the form.
    valid: usize,
    nfe: usize,
    /// The tokens that the constraint left no choice in.
    forced: usize,
    seconds: f64,
}

impl FormCell {
    fn new(task: &'static str, temperature: f64, steps: usize, is_constrained: bool) -> Self {
        let (answers, right, valid, nfe, forced, seconds) = (0, 0, 0, 0, 0, 0.0);
        Self { task, temperature, steps, is_constrained, answers, right, valid, nfe, forced, seconds }
    }

    /// Adds the answers to another task.
    fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.right += other.right;
        self.valid += other.valid;
        self.nfe += other.nfe;
        self.forced += other.forced;
        self.seconds += other.seconds;
    }

    /// The share of right answers, with its 95 % interval.
    fn accuracy(&self) -> (f64, [f64; 2]) {
        let tally = Tally { right: self.right, total: self.answers };
        (tally.exact_match(), tally.interval())
    }

    fn of_answer(&self, sum: f64) -> f64 {
        sum / self.answers.max(1) as f64
    }
}
