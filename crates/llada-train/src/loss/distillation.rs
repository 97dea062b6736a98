//! Distillation for parallel decoding: the model answers prompts one token a step, before the first step, and learns to
//! be certain of many tokens of these answers at once.

use std::{collections::BTreeMap, ops::ControlFlow, path::PathBuf};

use llada_core::{
    distillation::Trajectory,
    policy::View,
    rng::{Domain, Noise},
};
use llada_infer::{Request, SamplerConfig};
use llada_model::{ModelConfig, Tokenizer, TrainableTransformer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answered, IsStopped, Lesson, Loss, Observe, answer, certain::Certainty};
use crate::{
    TrainError,
    collective::Collective,
    config::{DistillationConfig, DistillationMethod, RunConfig},
    data::{BatchOrder, Lines, Prompt},
    ledger::Ledger,
    objective::MaskedBatch,
};

/// The part of a block that dParallel masks: `(1 - eps) t + eps` at t = 0.5, with LLaDA's eps.
const P_MASK: f64 = 0.5005;

/// The number of prompts that are answered together.
const AT_ONCE: usize = 16;

/// The loss of answers that the model decoded itself.
#[derive(Debug)]
pub(crate) struct DistillationLoss {
    config: DistillationConfig,
    prompts: Lines<Prompt>,
    order: BatchOrder,
    micro_batch_size: usize,
    steps: u64,
    mask_id: u32,
    eos_id: u32,
    noise: Noise,
    /// The file of the answers.
    path: PathBuf,
    /// What the answers are of.
    subject: Value,
    answers: BTreeMap<usize, Answer>,
}

/// An answer to a prompt.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    ids: Vec<u32>,
    step_of_token: Vec<usize>,
}

impl DistillationLoss {
    /// The loss of answers to the prompts in `config.data`.
    ///
    /// # Errors
    /// The data cannot be read, or has fewer prompts than a batch.
    pub(crate) fn new(config: &RunConfig, model: &ModelConfig, tokenizer: Tokenizer) -> Result<Self, TrainError> {
        let DistillationConfig { gen_length, block_length, .. } = config.distillation;
        let most = model.max_sequence_length.saturating_sub(gen_length);
        let prompts: Lines<Prompt> = Lines::read(&config.data_files("jsonl")?, tokenizer, most)?;
        if prompts.items.is_empty() {
            let message = format!("no prompt has at most {most} tokens: {} are too long", prompts.too_long);
            return Err(TrainError::file(config.one_data()?, message));
        }
        let noise = Noise::new(config.seed);
        let subject = json!({
            "data": prompts.digest, "init": config.init, "init_adapter": config.init_adapter, "tokenizer": config.tokenizer,
            "dtype": config.dtype, "base_dtype": config.base_dtype,
            "gen_length": gen_length, "block_length": block_length,
        });
        Ok(Self {
            config: config.distillation,
            order: BatchOrder::new(prompts.items.len(), config.batch_size, noise, None)?,
            prompts,
            micro_batch_size: config.micro_batch_size(),
            steps: config.steps,
            mask_id: model.mask_token_id,
            eos_id: model.eos_token_id,
            noise,
            path: config.out.join("trajectories.jsonl"),
            subject,
            answers: BTreeMap::new(),
        })
    }

    /// Decodes the answers to `prompts`, one token a step, block by block.
    fn decode(
        &self,
        model: &mut TrainableTransformer,
        prompts: &[usize],
        is_stopped: &mut IsStopped<'_>,
    ) -> Result<ControlFlow<(), Vec<Answer>>, TrainError> {
        let DistillationConfig { gen_length, block_length, .. } = self.config;
        let block_length = Some(block_length.min(gen_length));
        let sampler = SamplerConfig { gen_length, block_length, ..SamplerConfig::default() };
        let requests: Vec<Request> =
            prompts.iter().map(|&prompt| Request::new(self.prompts.items[prompt].clone(), sampler.clone())).collect();
        let answers = answer(model, &requests, is_stopped)?;
        let kept = |Answered { ids, step_of_token, .. }| Answer { ids, step_of_token };
        Ok(answers.map_continue(|answers| answers.into_iter().map(kept).collect()))
    }

    /// The two views of the answer to `prompt` at step `step`.
    fn halves(&self, prompt: usize, step: u64) -> Result<(Vec<u32>, [View; 2]), TrainError> {
        let Answer { ids, step_of_token } = &self.answers[&prompt];
        let block_length = self.config.block_length.min(ids.len());
        let row = [self.prompts.items[prompt].as_slice(), ids].concat();
        let trajectory = Trajectory { ids: &row, prompt_length: row.len() - ids.len(), step_of_token, block_length };
        // Blocks up to the one in which the answer ends.
        let end = ids.iter().position(|&id| id == self.eos_id).unwrap_or(ids.len() - 1);
        let mut time = self.noise.domain(Domain::Time).stream(prompt as u64, step as u32, 0);
        let block = time.below((end / block_length + 1) as u64) as usize;
        let halves = match self.config.objective {
            DistillationMethod::D3llm => {
                // The least share of the block that is masked rises from 0 to the largest over the run.
                let least = self.config.mask_ratio * step as f64 / self.steps as f64;
                let ratio = least + (self.config.mask_ratio - least) * time.uniform();
                let decoded = ((1.0 - ratio) * block_length as f64) as usize;
                trajectory.decoded_halves(block, block * block_length + decoded, self.mask_id)?
            }
            _ => {
                let noise = self.noise.domain(Domain::Mask).stream(prompt as u64, step as u32, 0);
                trajectory.random_halves(block, P_MASK, &noise, self.mask_id)?
            }
        };
        Ok((row, halves))
    }

    /// What the cross-entropies and the entropies of the two views weigh.
    fn weights(&self) -> [[f64; 2]; 2] {
        let entropy = self.config.entropy_weight();
        match self.config.objective {
            DistillationMethod::D3llm => [[0.25, 0.25 * entropy], [0.25, 0.0]],
            _ => [[1.0, entropy]; 2],
        }
    }
}

impl Loss for DistillationLoss {
    fn prepare(
        &mut self,
        model: &mut TrainableTransformer,
        is_begun: bool,
        observe: &mut Observe<'_>,
        collective: &mut dyn Collective,
    ) -> Result<ControlFlow<()>, TrainError> {
        let mut ledger = Ledger::<Answer>::open(&self.path, &self.subject, collective)?;
        let seen = self.order.seen(self.steps);
        let flow = ledger.complete(&seen, AT_ONCE, is_begun, observe, collective, |prompts, is_stopped| {
            self.decode(model, prompts, is_stopped)
        })?;
        self.answers = ledger.into_entries();
        Ok(flow)
    }

    fn lesson(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<Lesson, TrainError> {
        let prompts = self.order.batch(step).to_vec();
        let mut rows = Vec::with_capacity(prompts.len());
        for &prompt in &prompts {
            rows.push(self.halves(prompt, step)?);
        }
        let mut lesson =
            Lesson { tokens: 2 * rows.iter().map(|(row, _)| row.len() as u64).sum::<u64>(), ..Lesson::default() };
        let mine = collective.share(rows.len());
        let [mut loss, mut scored, mut correct] = [0.0; 3];
        for (half, [cross_entropy, entropy]) in self.weights().into_iter().enumerate() {
            let count: usize = rows.iter().map(|(_, halves)| halves[half].scored.len()).sum();
            let weight = (cross_entropy / count.max(1) as f64) as f32;
            let own = rows[mine.clone()].iter().map(|(row, halves)| (row.as_slice(), &halves[half..=half]));
            let batch = MaskedBatch::of_views(own);
            let weights = vec![weight; batch.weights().len()];
            let batch = batch.with_weights(weights).from_row(half * rows.len() + mine.start, 2 * rows.len());
            let batches = batch.micro_batches(self.micro_batch_size);
            let certainty = Certainty { weight: entropy, temperature: self.config.temperature() };
            let found = certainty.weigh(model, batches, collective)?;
            loss += found.loss;
            lesson.batches.extend(found.batches);
            scored += count as f64;
            correct += found.correct;
        }
        lesson.loss = Some(loss);
        lesson.details.insert("accuracy".to_owned(), correct / scored.max(1.0));
        Ok(lesson)
    }

    fn digest(&self) -> &str {
        &self.prompts.digest
    }
}
