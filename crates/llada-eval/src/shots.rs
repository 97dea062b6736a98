//! Few-shot prompts: which worked examples stand before a question.

use llada_core::rng::{Domain, Noise};

use crate::{EvalError, Question, Record, Style, Task};

/// Which examples a task shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first of the file.
    First,
    /// Drawn for each question anew. (The harness does so with Python's generator; here the same seed gives other
    /// examples.)
    Drawn,
}

/// A pool of worked examples, and how many of them a question gets.
#[derive(Debug, Default)]
pub struct Shots {
    /// What stands before the shots, and the example.
    pool: Vec<(String, String)>,
    count: usize,
    drawn: bool,
}

impl Shots {
    /// `count` of `records` as examples of `task`.
    ///
    /// # Errors
    /// A record is no question of the task, or holds no worked answer.
    pub fn new(task: &Task, style: Style, records: &[Record], count: usize) -> Result<Self, EvalError> {
        let worked = |record| {
            let question = task.question(record, style)?;
            let worked = question.worked().ok_or(EvalError::NoShots { task: task.name })?;
            Ok((question.description().to_owned(), worked))
        };
        let pool = records.iter().map(worked).collect::<Result<_, EvalError>>()?;
        Ok(Self { pool, count, drawn: task.shots == Order::Drawn })
    }

    /// `question`, the `index`-th of its task, after its shots: never itself, and of its own subject only.
    ///
    /// # Errors
    /// There are too few.
    pub fn before(&self, question: Question, index: u64, noise: Noise) -> Result<Question, EvalError> {
        let own = question.worked();
        let is_other = |(description, worked): &&(String, String)| {
            description == question.description() && own.as_ref() != Some(worked)
        };
        let others = self.pool.iter().filter(is_other);
        let mut shots: Vec<&str> = others.map(|(_, worked)| worked.as_str()).collect();
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
