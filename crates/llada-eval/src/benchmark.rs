//! Benchmarks: their questions and their metrics.

use crate::{BENCHMARKS, Choice, ChoiceMetric, EvalError, FreeFormQuestion, Order, Question, Record, Style};

/// A benchmark, which turns the records of a dataset into questions.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    /// The name of the task; that of lm-evaluation-harness, if the harness has the task.
    pub name: &'static str,
    /// A one-line description.
    pub about: &'static str,
    /// The dataset on the Hugging Face hub, and the columns that are read.
    pub data: &'static str,
    /// The choice of few-shot examples.
    pub shots: Order,
    /// The kind of questions.
    pub kind: TaskKind,
}

/// The kind of a benchmark's questions.
#[derive(Debug, Clone, Copy)]
pub enum TaskKind {
    /// Multiple choice: the likelihoods of the options are compared.
    Choice {
        /// Turns a record into a question.
        ask: fn(&Record) -> Result<Choice, EvalError>,
        /// The metrics of an answer.
        metrics: &'static [ChoiceMetric],
    },
    /// Free-form: the model writes an answer.
    FreeForm {
        /// Turns a record into a question in the given style.
        ask: fn(&Record, Style) -> Result<FreeFormQuestion, EvalError>,
    },
}

impl Benchmark {
    /// Returns the benchmark with this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        BENCHMARKS.into_iter().find(|benchmark| benchmark.name == name)
    }

    /// Turns a record into a question without few-shot examples.
    ///
    /// # Errors
    /// If the record lacks a column or a column has an invalid value.
    pub fn question(&self, record: &Record, style: Style) -> Result<Question, EvalError> {
        match self.kind {
            TaskKind::Choice { ask, .. } => ask(record).map(Question::Choice),
            TaskKind::FreeForm { ask } => ask(record, style).map(Question::FreeForm),
        }
    }
}
