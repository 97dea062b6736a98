//! What a task is: how a record becomes a question, and what is measured.

use crate::{Choice, ChoiceMetric, EvalError, Generation, Order, Question, Record, Style, TASKS};

/// A benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Its name, the harness's where it has one.
    pub name: &'static str,
    /// What it asks, in a line.
    pub about: &'static str,
    /// The data it is made from: a dataset of the Hugging Face hub, and the columns that are read.
    pub data: &'static str,
    /// Which examples stand before a question.
    pub shots: Order,
    /// How it is asked.
    pub kind: Kind,
}

/// The two ways of asking.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// By the likelihoods of options.
    Choice {
        /// The question that a record holds.
        ask: fn(&Record) -> Result<Choice, EvalError>,
        /// What is measured.
        metrics: &'static [ChoiceMetric],
    },
    /// By an answer in words.
    Generation {
        /// The question that a record holds, worded in a style.
        ask: fn(&Record, Style) -> Result<Generation, EvalError>,
    },
}

impl Task {
    /// The question that `record` holds, without shots.
    ///
    /// # Errors
    /// The record lacks a column, or one holds what it should not.
    pub fn question(&self, record: &Record, style: Style) -> Result<Question, EvalError> {
        match self.kind {
            Kind::Choice { ask, .. } => ask(record).map(Question::Choice),
            Kind::Generation { ask } => ask(record, style).map(Question::Generation),
        }
    }
}

/// The task called `name`.
pub fn by_name(name: &str) -> Option<&'static Task> {
    TASKS.into_iter().find(|task| task.name == name)
}
