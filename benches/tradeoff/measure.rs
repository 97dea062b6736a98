//! Asks a model the held-out questions under one setting.

use std::{fmt, ops::ControlFlow, path::Path, time::Instant};

use anyhow::Context;
use llada_core::rng::Noise;
use llada_infer::{Engine, Request, SpecialTokens};
use llada_model::{Device, Dtype, Llada, Message, Tokenizer};
use llada_tasks::{ALL, Evaluation, Example, Split, Tally, Task, mixture};
use serde::Serialize;

use crate::grid::Cell;

/// Of the examples, and of the noise that random remasking draws.
pub(crate) const SEED: u64 = 0;
/// Questions that go through the model together.
const BATCH: usize = 16;

/// A model, and what it is asked.
pub(crate) struct Subject {
    engine: Engine<Llada>,
    tokenizer: Tokenizer,
    special: SpecialTokens,
    examples: Vec<(&'static dyn Task, Example)>,
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
    /// Loads the checkpoint in `folder` in f32, and encodes `limit` questions of each task.
    pub(crate) fn open(folder: &Path, limit: usize) -> anyhow::Result<Self> {
        let mut model = Llada::load(folder, Device::Cpu, Dtype::F32)?;
        let config = model.config().clone();
        let tokenizer = Tokenizer::load(folder, &config)?
            .with_context(|| format!("{} has no tokenizer.json\nhint: name a model that can chat", folder.display()))?;
        model.ban(tokenizer.unknown_ids(config.vocab_size));
        let special = SpecialTokens { eos: config.eos_token_id, eot: tokenizer.eot_id() };
        let examples: Vec<_> = mixture(&ALL, Split::HeldOut, Noise::new(SEED)).take(limit * ALL.len()).collect();
        let prompt = |(_, example): &(_, Example)| tokenizer.encode_chat(&[Message::new("user", &example.prompt)]);
        let prompts = examples.iter().map(prompt).collect::<Result<_, _>>()?;
        Ok(Self { engine: Engine::new(model, special), tokenizer, special, examples, prompts })
    }

    /// Answers some questions unmeasured: the first forwards compile kernels.
    pub(crate) fn warm_up(&mut self) -> anyhow::Result<()> {
        let requests: Vec<Request> = crate::grid::smallest()
            .into_iter()
            .flat_map(|cell| self.prompts.iter().map(move |prompt| (cell, prompt)))
            .map(|(cell, prompt)| Request { prompt: prompt.clone(), config: cell.config(SEED) })
            .collect();
        self.engine.generate_batch(&requests, |_| ControlFlow::Continue(()))?;
        Ok(())
    }

    /// Asks everything under the setting `cell`.
    pub(crate) fn measure(&mut self, cell: Cell) -> anyhow::Result<Measured> {
        let (mut evaluation, mut seconds) = (Evaluation::default(), 0.0);
        let requests = Request::for_each(&self.prompts, &cell.config(SEED));
        for (examples, requests) in self.examples.chunks(BATCH).zip(requests.chunks(BATCH)) {
            let start = Instant::now();
            let answers = self.engine.generate_batch(requests, |_| ControlFlow::Continue(()))?;
            seconds += start.elapsed().as_secs_f64();
            for ((task, example), answer) in examples.iter().zip(&answers) {
                let text = self.tokenizer.decode(self.special.cut(&answer.output))?;
                evaluation.add(task.name(), example.check(&text), answer.nfe, answer.committed());
            }
        }
        let (mut all, answers) = (Tally::default(), self.examples.len());
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
