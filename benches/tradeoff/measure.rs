//! Asks a model the held-out questions under one setting.

use std::{fmt, ops::ControlFlow, time::Instant};

use llada::{Model, Request};
use llada_tasks::{Evaluation, Tally};
use serde::Serialize;

use crate::{grid::Cell, questions::Question};

/// Of the examples, and of the noise that random remasking draws.
pub(crate) const SEED: u64 = 0;
/// Questions that go through the model together.
pub(crate) const BATCH: usize = 16;

/// A model, and what it is asked.
pub(crate) struct Subject {
    model: Model,
    questions: Vec<Question>,
    prompts: Vec<Vec<u32>>,
}

/// What came of one setting.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    pub(crate) cell: Cell,
    #[serde(flatten)]
    pub(crate) evaluation: Evaluation,
    /// The 95 % interval of `mean_exact_match`. Every task has as many examples, so that the mean is a share of all.
    pub(crate) mean_interval: [f64; 2],
    pub(crate) answers: usize,
    pub(crate) nfe_per_answer: f64,
    pub(crate) seconds_per_answer: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.mean_interval.map(|bound| 100.0 * bound);
        let (right, nfe) = (100.0 * self.evaluation.mean_exact_match(), self.nfe_per_answer);
        let seconds = self.seconds_per_answer;
        write!(f, "{}: {right:.1} % right ({low:.1} to {high:.1} %), {nfe:.1} forwards, {seconds:.4} s", self.cell)
    }
}

impl Subject {
    /// Asks `model` these questions.
    pub(crate) fn new(model: Model, questions: Vec<Question>) -> Self {
        let prompts = questions.iter().map(|question| question.prompt.clone()).collect();
        Self { model, questions, prompts }
    }

    /// Answers some questions unmeasured: the first forwards compile kernels.
    pub(crate) fn warm_up(&mut self, cell: Cell) -> anyhow::Result<()> {
        let requests = Request::for_each(&self.prompts, &cell.config(SEED));
        let requests = &requests[..BATCH.min(requests.len())];
        self.model.engine_mut().generate_batch(requests, |_| ControlFlow::Continue(()))?;
        Ok(())
    }

    /// Asks everything under the setting `cell`.
    pub(crate) fn measure(&mut self, cell: Cell) -> anyhow::Result<Measured> {
        let (mut evaluation, mut seconds) = (Evaluation::default(), 0.0);
        let requests = Request::for_each(&self.prompts, &cell.config(SEED));
        for (questions, requests) in self.questions.chunks(BATCH).zip(requests.chunks(BATCH)) {
            let start = Instant::now();
            let generations = self.model.engine_mut().generate_batch(requests, |_| ControlFlow::Continue(()))?;
            seconds += start.elapsed().as_secs_f64();
            for (question, generation) in questions.iter().zip(generations) {
                let committed = generation.committed();
                let answer = self.model.answer(generation)?;
                evaluation.add(question.task, question.is_right(&answer.text), answer.nfe, committed);
            }
        }
        let (mut all, answers) = (Tally::default(), self.questions.len());
        for tally in evaluation.tallies.values() {
            all.right += tally.right;
            all.total += tally.total;
        }
        Ok(Measured {
            cell,
            mean_interval: all.interval(),
            answers,
            nfe_per_answer: evaluation.nfe as f64 / answers as f64,
            seconds_per_answer: seconds / answers as f64,
            evaluation,
        })
    }
}
