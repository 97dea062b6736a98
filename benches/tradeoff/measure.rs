//! Asks a model the held-out questions under one setting.

use std::{fmt, ops::ControlFlow, time::Instant};

use llada::{Model, Request, SamplerConfig};
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

/// A setting of the grid, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    pub(crate) cell: Cell,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What came of one setting.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub(crate) evaluation: Evaluation,
    /// The 95 % interval of `mean_exact_match`. Every task has as many examples, so that the mean is a share of all.
    pub(crate) mean_interval: [f64; 2],
    pub(crate) answers: usize,
    pub(crate) nfe_per_answer: f64,
    pub(crate) seconds_per_answer: f64,
}

impl Outcome {
    /// The share of right answers, in percent.
    pub(crate) fn percent(&self) -> f64 {
        100.0 * self.evaluation.mean_exact_match()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.mean_interval.map(|bound| 100.0 * bound);
        let Self { nfe_per_answer: nfe, seconds_per_answer: seconds, .. } = self;
        write!(f, "{:.1} % right ({low:.1} to {high:.1} %), {nfe:.1} forwards, {seconds:.4} s", self.percent())
    }
}

impl Subject {
    /// Asks `model` these questions.
    pub(crate) fn new(model: Model, questions: Vec<Question>) -> Self {
        let prompts = questions.iter().map(|question| question.prompt.clone()).collect();
        Self { model, questions, prompts }
    }

    /// Answers some questions unmeasured: the first forwards compile kernels.
    pub(crate) fn warm_up(&mut self, config: &SamplerConfig) -> anyhow::Result<()> {
        let requests = Request::for_each(&self.prompts, config);
        let requests = &requests[..BATCH.min(requests.len())];
        self.model.engine_mut().generate_batch(requests, |_| ControlFlow::Continue(()))?;
        Ok(())
    }

    /// Asks everything under one setting.
    pub(crate) fn measure(&mut self, config: &SamplerConfig) -> anyhow::Result<Outcome> {
        let (mut evaluation, mut seconds) = (Evaluation::default(), 0.0);
        let requests = Request::for_each(&self.prompts, config);
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
        Ok(Outcome {
            mean_interval: all.interval(),
            answers,
            nfe_per_answer: evaluation.nfe as f64 / answers as f64,
            seconds_per_answer: seconds / answers as f64,
            evaluation,
        })
    }
}
