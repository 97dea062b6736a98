//! Asks a model the held-out questions under one setting.

use std::{fmt, ops::ControlFlow, time::Instant};

use llada_infer::{Engine, Request, SpecialTokens};
use llada_model::{Llada, Tokenizer};
use llada_tasks::{Evaluation, Tally};
use serde::Serialize;

use crate::{grid::Cell, questions::Question};

/// Of the examples, and of the noise that random remasking draws.
pub(crate) const SEED: u64 = 0;
/// Questions that go through the model together.
const BATCH: usize = 16;

/// A model, and what it is asked.
pub(crate) struct Subject {
    engine: Engine<Llada>,
    tokenizer: Tokenizer,
    special: SpecialTokens,
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
    /// `model` is not to give what `tokenizer` does not know.
    pub(crate) fn new(mut model: Llada, tokenizer: Tokenizer, questions: Vec<Question>) -> Self {
        model.ban(tokenizer.unknown_ids(model.config().vocab_size));
        let special = SpecialTokens { eos: model.config().eos_token_id, eot: tokenizer.eot_id() };
        let prompts = questions.iter().map(|question| question.prompt.clone()).collect();
        Self { engine: Engine::new(model, special), tokenizer, special, questions, prompts }
    }

    /// Answers some questions unmeasured: the first forwards compile kernels.
    pub(crate) fn warm_up(&mut self, cell: Cell) -> anyhow::Result<()> {
        let requests = Request::for_each(&self.prompts, &cell.config(SEED));
        self.engine.generate_batch(&requests[..BATCH.min(requests.len())], |_| ControlFlow::Continue(()))?;
        Ok(())
    }

    /// Asks everything under the setting `cell`.
    pub(crate) fn measure(&mut self, cell: Cell) -> anyhow::Result<Measured> {
        let (mut evaluation, mut seconds) = (Evaluation::default(), 0.0);
        let requests = Request::for_each(&self.prompts, &cell.config(SEED));
        for (questions, requests) in self.questions.chunks(BATCH).zip(requests.chunks(BATCH)) {
            let start = Instant::now();
            let answers = self.engine.generate_batch(requests, |_| ControlFlow::Continue(()))?;
            seconds += start.elapsed().as_secs_f64();
            for (question, answer) in questions.iter().zip(&answers) {
                let text = self.tokenizer.decode(self.special.cut(&answer.output))?;
                evaluation.add(question.task, question.is_right(&text), answer.nfe, answer.committed());
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
