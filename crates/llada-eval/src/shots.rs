//! Few-shot prompts: worked examples before a question.

use llada_core::rng::{Domain, Noise};

use crate::{Benchmark, EvalError, Question, Record, Style};

/// The choice of few-shot examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first records of the file, for every question.
    First,
    /// A random sample for each question. (The harness samples with Python's generator, so the same seed gives other
    /// examples there.)
    Drawn,
}

/// A pool of worked examples, of which each question gets a fixed number.
#[derive(Debug, Default)]
pub struct Shots {
    pool: Vec<WorkedExample>,
    count: usize,
    drawn: bool,
}

/// A question with its right answer.
#[derive(Debug)]
struct WorkedExample {
    /// The description of the question, which stands before all examples.
    description: String,
    text: String,
}

impl Shots {
    /// Creates a pool of `records`, of which each question gets `count` as examples.
    ///
    /// # Errors
    /// If a record is invalid or has no worked answer.
    pub fn new(task: &Benchmark, style: Style, records: &[Record], count: usize) -> Result<Self, EvalError> {
        let mut pool = Vec::with_capacity(records.len());
        for record in records {
            let question = task.question(record, style)?;
            let text = question.worked().ok_or(EvalError::NoShots { task: task.name })?;
            pool.push(WorkedExample { description: question.description().to_owned(), text });
        }
        Ok(Self { pool, count, drawn: task.shots == Order::Drawn })
    }

    /// Puts examples before `question`, which is number `index` of its task. Examples have the same description as the
    /// question, and the question itself is never one of them.
    ///
    /// # Errors
    /// If the pool has too few examples for the question.
    pub fn before(&self, question: Question, index: u64, noise: Noise) -> Result<Question, EvalError> {
        let own = question.worked();
        let mut shots = Vec::new();
        for WorkedExample { description, text } in &self.pool {
            if description == question.description() && own.as_ref() != Some(text) {
                shots.push(text.as_str());
            }
        }
        if shots.len() < self.count {
            return Err(EvalError::Shots { wanted: self.count, found: shots.len() });
        }
        if self.drawn {
            let mut stream = noise.domain(Domain::Task).stream(index, 0, 0);
            for i in 0..self.count {
                let other = i + stream.below((shots.len() - i) as u64) as usize;
                shots.swap(i, other);
            }
        }
        shots.truncate(self.count);
        Ok(question.after(&shots))
    }
}
