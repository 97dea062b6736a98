//! Likelihood scoring: log p(answer | prompt), estimated by masking the answer in many ways (`get_log_likelihood.py`).

use std::ops::ControlFlow;

use llada_core::{
    likelihood::{BATCH_SIZE, Estimate, MC_NUM, Perturbation, Plan},
    predictor::{Hidden, MaskPredictor, Row},
    rng::Noise,
    sampling::log_softmax_at,
};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, InferError,
    error::check_from_zero,
    logits::{LogitsReader, LogitsRow, chunks},
};

/// Which estimator of the likelihood bound to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Estimator {
    /// Independent masks at a uniform ratio t, weight 1/t: the training objective; high variance.
    FormA,
    /// Exactly ℓ masked tokens, ℓ stratified over 1..L, weight L/ℓ: what evaluation uses.
    #[default]
    FormB,
}

/// How to score an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreConfig {
    /// Samples; an answer of one token needs, and gets, a single one under form B.
    pub mc_num: usize,
    /// Samples that go to the model together, and that form B spreads evenly over the mask counts.
    pub batch_size: usize,
    /// Scale of classifier-free guidance; 0 is none.
    pub cfg_scale: f32,
    /// The estimator.
    pub estimator: Estimator,
    /// Seed of the masks.
    pub seed: u64,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        let estimator = Estimator::default();
        Self { mc_num: MC_NUM, batch_size: BATCH_SIZE, cfg_scale: 0.0, estimator, seed: 0 }
    }
}

/// A scored answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Score {
    /// The estimate and its standard error.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Forward evaluations: mini-batches that went to the model.
    pub nfe: usize,
}

/// An answer and the prompt that it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scored<'a> {
    /// Token ids; may be empty.
    pub prompt: &'a [u32],
    /// Token ids, at least one.
    pub answer: &'a [u32],
}

impl ScoreConfig {
    /// How to mask an answer of `length` tokens. Plans of the same length are the same.
    fn plan(&self, length: usize) -> Result<Plan, InferError> {
        let noise = Noise::new(self.seed);
        let plan = match self.estimator {
            Estimator::FormA => Plan::form_a(length, self.mc_num, noise, 0),
            Estimator::FormB if self.is_exact(length) => Plan::form_b(1, self.mc_num.min(1), self.batch_size, noise, 0),
            Estimator::FormB => Plan::form_b(length, self.mc_num, self.batch_size, noise, 0),
        };
        Ok(plan?)
    }

    /// Whether a single sample has no error: there is one way to mask an answer of one token.
    fn is_exact(&self, length: usize) -> bool {
        self.estimator == Estimator::FormB && length == 1
    }
}

impl<P: MaskPredictor> Engine<P> {
    /// Estimates the log-likelihood of `answer` given `prompt` (which may be empty).
    ///
    /// `observe` is told the number of samples done and of all samples after each mini-batch, and may stop.
    ///
    /// # Errors
    /// The answer or a setting is empty, the sequence too long, the predictor fails, or `observe` stopped.
    pub fn score(
        &mut self,
        prompt: &[u32],
        answer: &[u32],
        config: &ScoreConfig,
        observe: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Score, InferError> {
        Ok(self.score_options(&[Scored { prompt, answer }], config, observe)?.remove(0))
    }

    /// Estimates the log-likelihoods of the options of one question, each as [`score`](Self::score) would alone.
    ///
    /// The options share the noise: those of one length are masked alike, so that their difference varies less than
    /// either. Their mini-batches go to the model together.
    ///
    /// # Errors
    /// As [`score`](Self::score), of any option.
    pub fn score_options(
        &mut self,
        options: &[Scored<'_>],
        config: &ScoreConfig,
        mut observe: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Vec<Score>, InferError> {
        check_from_zero("cfg_scale", config.cfg_scale)?;
        let plans = options.iter().map(|option| config.plan(option.answer.len())).collect::<Result<Vec<_>, _>>()?;
        let all = plans.iter().map(|plan| plan.perturbations().len()).sum();
        let size = config.batch_size.max(1);
        let mut log_p_masked = vec![Vec::new(); options.len()];
        let mut done = 0;
        while done < all {
            // Each option's next mini-batch, none for one that is done.
            let next = |(plan, sums): (&Plan, &Vec<f64>)| -> Vec<Perturbation> {
                plan.perturbations().iter().skip(sums.len()).take(size).cloned().collect()
            };
            let batches: Vec<_> = plans.iter().zip(&log_p_masked).map(next).collect();
            let samples: Vec<_> = options
                .iter()
                .zip(&batches)
                .flat_map(|(&option, batch)| batch.iter().map(move |sample| (option, sample)))
                .collect();
            let mut sums = self.log_p_samples(&samples, config.cfg_scale)?.into_iter();
            done += samples.len();
            for (batch, log_p_masked) in batches.iter().zip(&mut log_p_masked) {
                log_p_masked.extend(sums.by_ref().take(batch.len()));
            }
            if observe(done, all).is_break() {
                return Err(InferError::Interrupted);
            }
        }
        let score = |((plan, sums), option): ((&Plan, &Vec<f64>), &Scored<'_>)| {
            let mut estimate = plan.estimate(sums)?;
            if config.is_exact(option.answer.len()) {
                estimate.standard_error = Some(0.0);
            }
            Ok(Score { estimate, nfe: sums.len().div_ceil(size) })
        };
        plans.iter().zip(&log_p_masked).zip(options).map(score).collect()
    }

    /// For each perturbation of the answer, the sum of log p over the tokens that it masks, in nats.
    ///
    /// # Errors
    /// The sequence is too long, or the predictor fails.
    pub fn log_p_masked(
        &mut self,
        prompt: &[u32],
        answer: &[u32],
        perturbations: &[Perturbation],
        cfg_scale: f32,
    ) -> Result<Vec<f64>, InferError> {
        let samples: Vec<_> = perturbations.iter().map(|sample| (Scored { prompt, answer }, sample)).collect();
        self.log_p_samples(&samples, cfg_scale)
    }

    /// The same for perturbations of several answers, in one forward.
    fn log_p_samples(
        &mut self,
        samples: &[(Scored<'_>, &Perturbation)],
        cfg_scale: f32,
    ) -> Result<Vec<f64>, InferError> {
        let max_sequence_length = self.predictor.max_sequence_length();
        let length = |&&(Scored { prompt, answer }, _): &&(Scored<'_>, _)| prompt.len() + answer.len();
        if let Some((Scored { prompt, answer }, _)) = samples.iter().find(|sample| length(sample) > max_sequence_length)
        {
            let (prompt, gen_length) = (prompt.len(), answer.len());
            return Err(InferError::TooLong { prompt, gen_length, max_sequence_length });
        }
        let mask_id = self.predictor.mask_id();
        let guided = cfg_scale > 0.0;
        let masked = |&(Scored { prompt, answer }, perturbation): &(Scored<'_>, &Perturbation)| {
            let mut ids = [prompt, answer].concat();
            let wanted: Vec<usize> = perturbation.masked.iter().map(|&i| prompt.len() + i).collect();
            wanted.iter().for_each(|&position| ids[position] = mask_id);
            let unconditional = guided.then(|| [vec![mask_id; prompt.len()].as_slice(), &ids[prompt.len()..]].concat());
            (ids, unconditional, wanted)
        };
        let sequences: Vec<_> = samples.iter().map(masked).collect();
        let conditional = sequences.iter().map(|(ids, _, wanted)| Row::new(ids, wanted));
        let unconditional = sequences.iter().filter_map(|(_, ids, wanted)| Some(Row::new(ids.as_deref()?, wanted)));
        let rows: Vec<Row<'_>> = conditional.chain(unconditional).collect();
        let Self { predictor, vocabulary, buffers, .. } = self;
        let mut hidden = predictor.forward(&rows).map_err(InferError::predict)?;
        let row = |(row, &(Scored { answer, .. }, perturbation)): (usize, &(Scored<'_>, &Perturbation))| {
            let unconditional = guided.then_some((samples.len() + row, cfg_scale));
            let targets: Vec<u32> = perturbation.masked.iter().map(|&i| answer[i]).collect();
            let row = LogitsRow { row, unconditional };
            let mut reader = LogitsReader { hidden: &mut hidden, row, buffers: &mut *buffers };
            log_p_row(&mut reader, vocabulary.padded_size, &targets)
        };
        samples.iter().enumerate().map(row).collect()
    }
}

/// The sum of log p of `targets`, the tokens at a row's wanted positions.
fn log_p_row<H: Hidden>(
    reader: &mut LogitsReader<'_, H>,
    padded_vocab_size: usize,
    targets: &[u32],
) -> Result<f64, InferError> {
    let mut sum = 0.0;
    for range in chunks(targets.len()) {
        let logits = reader.read(range.clone())?;
        let rows = logits.chunks(padded_vocab_size).zip(&targets[range]);
        sum += rows.map(|(logits, &target)| log_softmax_at(logits, target)).sum::<f64>();
    }
    Ok(sum)
}
