//! Reinforcement learning with a program that checks answers: the model answers prompts, several times each, and learns
//! from how its answers compare.
//!
//! One set of answers serves for several steps. The probabilities under the model that gave them, and under that which
//! the run started from, are computed when they are given, under the masks of all these steps.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use llada_core::{
    policy::{Completion, Draw, DrawKey, LogProbs, Rollout, Scored, View},
    rng::{Domain, Noise},
};
use llada_infer::Request;
use llada_model::{Parameters, TrainableTransformer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answered, IsStopped, Lesson, Loss, answer, cross_entropy};
use crate::{
    TrainError,
    checkpoint::sha256,
    collective::{Collective, agreed, gather},
    config::{RlConfig, RunConfig},
    data::BatchOrder,
    environment::Environment,
    objective::MaskedBatch,
    start,
};

/// The file of a checkpoint with the answers that the next steps learn from.
const ROLLOUTS: &str = "rollouts.json";

/// The loss of answers that are compared with others to the same prompt.
#[derive(Debug)]
pub(crate) struct PolicyLoss {
    config: RlConfig,
    environment: Box<dyn Environment>,
    digest: String,
    order: BatchOrder,
    micro_batch_size: usize,
    mask_id: u32,
    eos_id: u32,
    noise: Noise,
    reference: Reference,
    /// What answers are of.
    subject: Value,
    rollouts: Option<Rollouts>,
}

/// The model that the run started from, if the method has a penalty for leaving it.
#[derive(Debug)]
enum Reference {
    /// There is no penalty.
    None,
    /// The adapter at the start, of the same frozen weights.
    Adapter(Parameters),
    /// A second model.
    Model(Box<TrainableTransformer>),
}

/// Answers, and what the steps that learn from them need.
#[derive(Debug, Serialize, Deserialize)]
struct Rollouts {
    /// The settings that they are of.
    subject: Value,
    /// The number of sets of answers before this one.
    number: u64,
    /// The answers, prompt by prompt, with what they are worth and how that compares.
    answers: Vec<Rollout>,
    rewards: Vec<f64>,
    advantages: Vec<f64>,
    /// The log-probabilities under the model that gave the answers: by step, answer, view and token.
    old: Vec<Vec<LogProbs>>,
    /// The same under the model that the run started from.
    reference: Option<Vec<Vec<LogProbs>>>,
}

impl PolicyLoss {
    /// The loss of a run on the prompts of `environment`.
    ///
    /// # Errors
    /// There are fewer prompts than a batch has; a prompt is too long; the model that the run starts from cannot be loaded
    /// a second time.
    pub(crate) fn new(
        config: &RunConfig,
        model: &TrainableTransformer,
        environment: Box<dyn Environment>,
    ) -> Result<Self, TrainError> {
        config.rl.check(config.batch_size)?;
        let rl = RlConfig { method: config.rl.method(), ..config.rl.clone() };
        let noise = Noise::new(config.seed);
        let most = model.config().max_sequence_length;
        let mut prompts = Vec::new();
        for index in 0..environment.len() {
            let prompt = environment.prompt(index);
            prompts.extend([prompt.len() as u32].iter().chain(prompt).flat_map(|id| id.to_le_bytes()));
            let length = prompt.len() + rl.gen_length;
            if length > most {
                let hint =
                    format!("prompt {index} and its answer are {length} tokens, and max_sequence_length is {most}");
                return Err(TrainError::config("rl.gen_length", rl.gen_length, hint));
            }
        }
        let digest = sha256(&prompts);
        let reference = match &config.adapter {
            _ if !rl.method.has_reference() => Reference::None,
            Some(_) => Reference::Adapter(copy(model.weights())?),
            None => Reference::Model(Box::new(start::model(config)?)),
        };
        let room = environment.len() * rl.num_generations;
        if room < config.batch_size {
            let hint = format!(
                "the prompts are {}, of {} answers each: {room} at most",
                environment.len(),
                rl.num_generations
            );
            return Err(TrainError::config("batch_size", config.batch_size, hint));
        }
        let subject = json!({
            "rl": config.rl, "seed": config.seed, "batch_size": config.batch_size, "init": config.init,
            "init_adapter": config.init_adapter,
        });
        Ok(Self {
            subject,
            order: BatchOrder::new(environment.len(), config.batch_size / rl.num_generations, noise, None)?,
            digest,
            environment,
            config: rl,
            micro_batch_size: config.micro_batch_size(),
            mask_id: model.config().mask_token_id,
            eos_id: model.config().eos_token_id,
            noise,
            reference,
            rollouts: None,
        })
    }

    /// Computes what the steps on a set of answers need.
    fn score(
        &mut self,
        model: &mut TrainableTransformer,
        mut rollouts: Rollouts,
        is_stopped: &mut IsStopped<'_>,
        collective: &mut dyn Collective,
    ) -> Result<ControlFlow<(), Rollouts>, TrainError> {
        let mut reference = Vec::new();
        for iteration in 0..self.config.num_iterations {
            if collective.any(is_stopped())? {
                return Ok(ControlFlow::Break(()));
            }
            let draw = self.draw(&rollouts, iteration)?;
            let batches: Vec<MaskedBatch> = self.batches(&rollouts, &draw).collect();
            let micro_batch_size = self.micro_batch_size;
            if self.config.method.has_ratio() {
                rollouts.old.push(log_probs(model, &batches, &draw, micro_batch_size, collective)?);
            }
            match &mut self.reference {
                Reference::None => {}
                Reference::Adapter(start) => {
                    let now = copy(model.weights())?;
                    model.weights_mut().copy_from(start)?;
                    let of_start = log_probs(model, &batches, &draw, micro_batch_size, collective);
                    model.weights_mut().copy_from(&now)?;
                    reference.push(of_start?);
                }
                Reference::Model(model) => {
                    reference.push(log_probs(model, &batches, &draw, micro_batch_size, collective)?);
                }
            }
        }
        rollouts.reference = (!reference.is_empty()).then_some(reference);
        Ok(ControlFlow::Continue(rollouts))
    }

    /// Lets the model answer the prompts of a set, each process its share of them, and compares what the answers are
    /// worth.
    fn ask(
        &mut self,
        model: &mut TrainableTransformer,
        number: u64,
        is_stopped: &mut IsStopped<'_>,
        collective: &mut dyn Collective,
    ) -> Result<ControlFlow<(), Rollouts>, TrainError> {
        let prompts = self.order.batch(number).to_vec();
        let group = self.config.num_generations;
        let mine = collective.share(prompts.len());
        let mut requests = Vec::with_capacity(mine.len() * group);
        for (index, &prompt) in prompts.iter().enumerate().filter(|(index, _)| mine.contains(index)) {
            for generation in 0..group {
                let place = number * (prompts.len() * group) as u64 + (index * group + generation) as u64;
                let seed = self.noise.domain(Domain::Token).stream(place, 0, 0).below(u64::MAX);
                requests.push(Request::new(self.environment.prompt(prompt), self.config.sampler(seed)));
            }
        }
        let answered = answer(model, &requests, is_stopped)?;
        let ControlFlow::Continue(answered) = agreed(collective, answered)? else {
            return Ok(ControlFlow::Break(()));
        };
        let mut answers = Vec::with_capacity(answered.len());
        let mut rewards = vec![0.0; prompts.len() * group];
        for (index, Answered { prompt, ids, step_of_token }) in (mine.start * group..).zip(answered) {
            let end = ids.iter().position(|&id| id == self.eos_id).unwrap_or(ids.len());
            rewards[index] = self.environment.reward(prompts[index / group], &ids[..end]);
            let completion = Completion {
                prompt_length: prompt.len(),
                length: ids.len().min(end + 1),
                is_ended: end < ids.len(),
                ids: [prompt, ids].concat(),
            };
            answers.push(Rollout { completion, step_map: step_of_token });
        }
        let answers = gather(collective, answers)?;
        collective.sum_all(&mut rewards)?;
        let advantage = self.config.advantage.unwrap_or(self.config.method.advantage());
        let advantages = rewards.chunks(group).flat_map(|rewards| advantage.of(rewards)).collect();
        let subject = self.subject.clone();
        let rollouts = Rollouts { subject, number, answers, rewards, advantages, old: Vec::new(), reference: None };
        Ok(ControlFlow::Continue(rollouts))
    }

    /// The masks of step `iteration` on a set of answers.
    fn draw(&self, rollouts: &Rollouts, iteration: usize) -> Result<Draw, TrainError> {
        let answers = &rollouts.answers;
        let key = DrawKey { sample: rollouts.number * answers.len() as u64, iteration: iteration as u32 };
        Ok(self.config.method.draw(answers, self.noise, key, self.mask_id)?)
    }

    /// The views of each prompt's answers as one batch.
    fn batches<'a>(&'a self, rollouts: &'a Rollouts, draw: &'a Draw) -> impl Iterator<Item = MaskedBatch> + 'a {
        let group = self.config.num_generations;
        rollouts.answers.chunks(group).zip(draw.views.chunks(group)).map(|(answers, views)| {
            let rows = answers.iter().map(|answer| answer.completion.ids.as_slice());
            MaskedBatch::of_views(rows.zip(views.iter().map(Vec::as_slice)))
        })
    }
}

fn copy(weights: &Parameters) -> Result<Parameters, TrainError> {
    let mut copied = weights.zeros_like()?;
    copied.copy_from(weights)?;
    Ok(copied)
}

/// The log-probabilities of scored tokens under `model`, where `batches` has the views of `draw`. Each process computes
/// those of its share of the batches.
fn log_probs(
    model: &mut TrainableTransformer,
    batches: &[MaskedBatch],
    draw: &Draw,
    micro_batch_size: usize,
    collective: &mut dyn Collective,
) -> Result<Vec<LogProbs>, TrainError> {
    let mine = collective.share(batches.len());
    let mut losses = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        if mine.contains(&index) {
            losses.extend(cross_entropy(model, batch, micro_batch_size)?.into_iter().map(f64::from));
        } else {
            losses.resize(losses.len() + batch.weights().len(), 0.0);
        }
    }
    collective.sum_all(&mut losses)?;
    let mut losses = losses.into_iter();
    let mut log_probs = Vec::with_capacity(draw.views.len());
    for views in &draw.views {
        let of_view = |view: &View| losses.by_ref().take(view.scored.len()).map(|loss| -loss).collect();
        log_probs.push(views.iter().map(of_view).collect());
    }
    Ok(log_probs)
}

impl Loss for PolicyLoss {
    fn roll_out(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        is_stopped: &mut IsStopped<'_>,
        collective: &mut dyn Collective,
    ) -> Result<ControlFlow<()>, TrainError> {
        let number = step / self.config.num_iterations as u64;
        if self.rollouts.as_ref().is_some_and(|rollouts| rollouts.number == number) {
            return Ok(ControlFlow::Continue(()));
        }
        let ControlFlow::Continue(asked) = self.ask(model, number, is_stopped, collective)? else {
            return Ok(ControlFlow::Break(()));
        };
        let ControlFlow::Continue(rollouts) = self.score(model, asked, is_stopped, collective)? else {
            return Ok(ControlFlow::Break(()));
        };
        self.rollouts = Some(rollouts);
        Ok(ControlFlow::Continue(()))
    }

    fn lesson(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<Lesson, TrainError> {
        let iteration = (step % self.config.num_iterations as u64) as usize;
        let Some(rollouts) = &self.rollouts else { return Ok(Lesson::default()) };
        let draw = self.draw(rollouts, iteration)?;
        let prompts: Vec<MaskedBatch> = self.batches(rollouts, &draw).collect();
        let old = rollouts.old.get(iteration);
        let log_probs = match old {
            // The model is the one that gave the answers.
            Some(old) if iteration == 0 => old.clone(),
            _ => log_probs(model, &prompts, &draw, self.micro_batch_size, collective)?,
        };
        let mut batch = Vec::with_capacity(rollouts.answers.len());
        for (i, answer) in rollouts.answers.iter().enumerate() {
            batch.push(Scored {
                completion: &answer.completion,
                views: &draw.views[i],
                advantage: rollouts.advantages[i],
                log_probs: &log_probs[i],
                old: old.map_or(&log_probs[i], |old| &old[i]),
                reference: rollouts.reference.as_ref().map(|reference| &reference[iteration][i]),
            });
        }
        let group = self.config.num_generations;
        let surrogate = self.config.method.surrogate(&batch, &draw, group)?;
        let mine = collective.share(prompts.len());
        let all: usize = prompts.iter().map(MaskedBatch::rows).sum();
        let (mut batches, mut first_row) = (Vec::new(), 0);
        for (prompt, masked) in prompts.into_iter().enumerate() {
            let rows = masked.rows();
            if mine.contains(&prompt) {
                let weights = surrogate.weights[prompt * group..][..group].iter().flatten().flatten();
                let weights = weights.map(|&weight| weight as f32).collect();
                let batch = masked.with_weights(weights).from_row(first_row, all);
                batches.extend(batch.micro_batches(self.micro_batch_size));
            }
            first_row += rows;
        }
        let count = batch.len() as f64;
        let tokens: usize = rollouts.answers.iter().map(|answer| answer.completion.length).sum();
        Ok(Lesson {
            batches,
            // Every process has computed the loss of the whole.
            loss: Some(if collective.rank() == 0 { surrogate.loss } else { 0.0 }),
            tokens: draw.views.iter().flatten().map(|view| view.ids.len() as u64).sum(),
            details: BTreeMap::from([
                ("reward".to_owned(), rollouts.rewards.iter().sum::<f64>() / count),
                ("completion_length".to_owned(), tokens as f64 / count),
            ]),
        })
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn save(&self, checkpoint: &Path) -> Result<(), TrainError> {
        let Some(rollouts) = &self.rollouts else { return Ok(()) };
        let path = checkpoint.join(ROLLOUTS);
        let text = serde_json::to_string(rollouts).map_err(|e| TrainError::file(&path, e))?;
        fs::write(&path, text).map_err(TrainError::write(&path))
    }

    fn restore(&mut self, checkpoint: &Path) -> Result<(), TrainError> {
        let path = checkpoint.join(ROLLOUTS);
        // Before the first step there are none; digests tell of a lost file.
        if !path.exists() {
            return Ok(());
        }
        let text = fs::read(&path).map_err(TrainError::read(&path))?;
        let rollouts: Rollouts = serde_json::from_slice(&text).map_err(|e| TrainError::file(&path, e))?;
        if rollouts.subject != self.subject {
            return Err(TrainError::OtherNumbers { path });
        }
        self.rollouts = Some(rollouts);
        Ok(())
    }
}
