//! Preference optimisation (VRPO, arXiv 2505.19223): the margin between a chosen and a rejected answer is widened,
//! beyond that of the model that the run starts from.
//!
//! An answer's likelihood is estimated under the same masks whenever it is, so the numbers of the reference are
//! computed once, before the first step, and no second model is in memory.

use std::{collections::BTreeMap, ops::ControlFlow, path::PathBuf};

use llada_core::{likelihood::MaskingPlan, policy::View, preference::bound_weights, rng::Noise};
use llada_model::{ModelConfig, Tokenizer, TrainableTransformer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Lesson, Loss, Observe, cross_entropy};
use crate::{
    TrainError,
    collective::Collective,
    config::{Masks, PreferenceConfig, RunConfig},
    data::{BatchOrder, Lines, Pair},
    ledger::Ledger,
    objective::MaskedBatch,
};

/// The loss of pairs of answers.
#[derive(Debug)]
pub(crate) struct PairLoss {
    config: PreferenceConfig,
    pairs: Vec<Pair>,
    digest: String,
    order: BatchOrder,
    micro_batch_size: usize,
    steps: u64,
    mask_id: u32,
    noise: Noise,
    /// The file of the reference's numbers.
    path: PathBuf,
    /// What the numbers are of.
    subject: Value,
    /// The reference's numbers of each pair that the run sees.
    reference: BTreeMap<usize, Bounds>,
}

/// The estimates of both answers' log-likelihoods, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bounds {
    chosen: f64,
    rejected: f64,
}

impl Bounds {
    /// The same, unless one is not finite: JSON has no such numbers, so no process could read it again.
    fn finite(self, pair: usize) -> Result<Self, TrainError> {
        match [self.chosen, self.rejected].into_iter().find(|bound| !bound.is_finite()) {
            Some(value) => Err(TrainError::NoLikelihood { pair, value }),
            None => Ok(self),
        }
    }
}

/// An answer under its masks: rows of one length, and what each masked token weighs in the estimate.
struct Masked {
    batch: MaskedBatch,
    /// One per wanted token.
    bound_weights: Vec<f64>,
}

impl PairLoss {
    /// The loss of the pairs in `config.data`.
    ///
    /// # Errors
    /// The data cannot be read, or has fewer pairs than a batch.
    pub(crate) fn new(config: &RunConfig, model: &ModelConfig, tokenizer: Tokenizer) -> Result<Self, TrainError> {
        let Lines::<Pair> { items: pairs, too_long, digest } =
            Lines::read(&config.data_files("jsonl")?, tokenizer, model.max_sequence_length)?;
        if pairs.is_empty() {
            let message =
                format!("no pair fits max_sequence_length {}: {too_long} are too long", model.max_sequence_length);
            return Err(TrainError::file(config.one_data()?, message));
        }
        let noise = Noise::new(config.seed);
        let PreferenceConfig { num_samples, masks, .. } = config.preference;
        let subject = json!({
            "data": digest, "init": config.init, "init_adapter": config.init_adapter, "tokenizer": config.tokenizer, "seed": config.seed,
            "dtype": config.dtype, "base_dtype": config.base_dtype,
            "num_samples": num_samples, "masks": masks,
        });
        Ok(Self {
            config: config.preference,
            order: BatchOrder::new(pairs.len(), config.batch_size, noise, None)?,
            pairs,
            digest,
            micro_batch_size: config.micro_batch_size(),
            steps: config.steps,
            mask_id: model.mask_token_id,
            noise,
            path: config.out.join("reference.jsonl"),
            subject,
            reference: BTreeMap::new(),
        })
    }

    /// The answers of a pair under their masks. Each has masks of its own, the same in every step.
    fn masked(&self, pair: usize) -> Result<[Masked; 2], TrainError> {
        let Pair { prompt, chosen, rejected } = &self.pairs[pair];
        Ok([
            self.masked_answer(prompt, chosen, 2 * pair as u64)?,
            self.masked_answer(prompt, rejected, 2 * pair as u64 + 1)?,
        ])
    }

    fn masked_answer(&self, prompt: &[u32], answer: &[u32], sample: u64) -> Result<Masked, TrainError> {
        let (count, noise) = (self.config.num_samples, self.noise);
        let plan = match self.config.masks {
            Masks::Stratified => MaskingPlan::stratified(answer.len(), count, count, noise, sample)?,
            Masks::Independent => MaskingPlan::independent(answer.len(), count, noise, sample)?,
        };
        let row = [prompt, answer].concat();
        let mut masked = Masked { batch: MaskedBatch::default(), bound_weights: Vec::new() };
        let mut views = Vec::with_capacity(count);
        for (perturbation, weight) in plan.perturbations().iter().zip(bound_weights(&plan)) {
            let mut view = View { ids: row.clone(), scored: Vec::with_capacity(perturbation.masked.len()) };
            for token in &perturbation.masked {
                view.ids[prompt.len() + token] = self.mask_id;
                view.scored.push(prompt.len() + token);
                masked.bound_weights.push(weight);
            }
            views.push(view);
        }
        masked.batch = MaskedBatch::of_views([(row.as_slice(), views.as_slice())]);
        Ok(masked)
    }

    /// Estimates the log-likelihoods of a pair's answers.
    fn bounds(&self, model: &mut TrainableTransformer, masked: &[Masked; 2]) -> Result<Bounds, TrainError> {
        let mut bounds = [0.0; 2];
        for (bound, masked) in bounds.iter_mut().zip(masked) {
            let losses = cross_entropy(model, &masked.batch, self.micro_batch_size)?;
            *bound = losses.iter().zip(&masked.bound_weights).map(|(&loss, weight)| -f64::from(loss) * weight).sum();
        }
        let [chosen, rejected] = bounds;
        Ok(Bounds { chosen, rejected })
    }
}

impl Loss for PairLoss {
    fn prepare(
        &mut self,
        model: &mut TrainableTransformer,
        is_begun: bool,
        observe: &mut Observe<'_>,
        collective: &mut dyn Collective,
    ) -> Result<ControlFlow<()>, TrainError> {
        let mut ledger = Ledger::<Bounds>::open(&self.path, &self.subject, collective)?;
        let seen = self.order.seen(self.steps);
        let flow = ledger.complete(&seen, 1, is_begun, observe, collective, |pairs, _| {
            let bounds = pairs.iter().map(|&pair| self.bounds(model, &self.masked(pair)?)?.finite(pair));
            bounds.collect::<Result<_, _>>().map(ControlFlow::Continue)
        })?;
        self.reference = ledger.into_entries();
        Ok(flow)
    }

    fn lesson(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<Lesson, TrainError> {
        let pairs = self.order.batch(step).to_vec();
        let (loss, beta, count) = (self.config.loss(), self.config.beta, pairs.len() as f64);
        let (mut lesson, mut sum_of_losses) = (Lesson::default(), 0.0);
        let mut sums = [0.0; 4];
        for index in collective.share(pairs.len()) {
            let pair = pairs[index];
            let masked = self.masked(pair)?;
            let (now, reference) = (self.bounds(model, &masked)?, self.reference[&pair]);
            let rewards = [now.chosen - reference.chosen, now.rejected - reference.rejected].map(|gain| beta * gain);
            let s = rewards[0] - rewards[1];
            sum_of_losses += loss.value(s, beta) / count;
            let slope = loss.slope(s, beta) * beta / count;
            for (side, (masked, slope)) in masked.into_iter().zip([slope, -slope]).enumerate() {
                let weights = masked.bound_weights.iter().map(|weight| (-slope * weight) as f32).collect();
                let samples = self.config.num_samples;
                let first_row = (2 * index + side) * samples;
                let batch = masked.batch.with_weights(weights).from_row(first_row, 2 * pairs.len() * samples);
                lesson.batches.extend(batch.micro_batches(self.micro_batch_size));
            }
            let accuracy = if s > 0.0 { 1.0 } else { 0.0 };
            for (sum, value) in sums.iter_mut().zip([rewards[0], rewards[1], s, accuracy]) {
                *sum += value / count;
            }
        }
        lesson.loss = Some(sum_of_losses);
        // The names are those of trl.
        collective.sum_all(&mut sums)?;
        for (name, sum) in ["chosen", "rejected", "margins", "accuracies"].into_iter().zip(sums) {
            lesson.details.insert(format!("rewards/{name}"), sum);
        }
        let mut tokens = 0;
        for Pair { prompt, chosen, rejected } in pairs.iter().map(|&pair| &self.pairs[pair]) {
            tokens += 2 * prompt.len() + chosen.len() + rejected.len();
        }
        lesson.tokens = (self.config.num_samples * tokens) as u64;
        Ok(lesson)
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}
