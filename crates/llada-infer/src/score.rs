//! Likelihood scoring: log p(answer | prompt), estimated by masking the answer in many ways (`get_log_likelihood.py`).

use std::ops::ControlFlow;

use llada_core::{
    likelihood::{BATCH_SIZE, Estimate, MC_NUM, Perturbation, Plan},
    predictor::{MaskPredictor, Row},
    rng::Noise,
    sampling::log_softmax_at,
};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, InferError,
    error::check_from_zero,
    logits::{Source, chunks},
};

/// Which estimator of the likelihood bound to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
pub struct Score {
    /// The estimate and its standard error.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Forward evaluations: mini-batches that went to the model.
    pub nfe: usize,
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
        mut observe: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Score, InferError> {
        let &ScoreConfig { mc_num, batch_size, cfg_scale, estimator, seed } = config;
        check_from_zero("cfg_scale", cfg_scale)?;
        let exact = estimator == Estimator::FormB && answer.len() == 1;
        let plan = match estimator {
            Estimator::FormA => Plan::form_a(answer.len(), mc_num, Noise::new(seed), 0)?,
            Estimator::FormB if exact => Plan::form_b(1, mc_num.min(1), batch_size, Noise::new(seed), 0)?,
            Estimator::FormB => Plan::form_b(answer.len(), mc_num, batch_size, Noise::new(seed), 0)?,
        };
        let samples = plan.perturbations();
        let mut log_p_masked = Vec::with_capacity(samples.len());
        let mut nfe = 0;
        for batch in samples.chunks(batch_size.max(1)) {
            log_p_masked.extend(self.log_p_masked(prompt, answer, batch, cfg_scale)?);
            nfe += 1;
            if observe(log_p_masked.len(), samples.len()).is_break() {
                return Err(InferError::Interrupted);
            }
        }
        let mut estimate = plan.estimate(&log_p_masked)?;
        if exact {
            estimate.standard_error = Some(0.0);
        }
        Ok(Score { estimate, nfe })
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
        let max_sequence_length = self.predictor.max_sequence_length();
        if prompt.len() + answer.len() > max_sequence_length {
            let (prompt, gen_length) = (prompt.len(), answer.len());
            return Err(InferError::TooLong { prompt, gen_length, max_sequence_length });
        }
        let mask_id = self.predictor.mask_id();
        let guided = cfg_scale > 0.0;
        let masked = |perturbation: &Perturbation| {
            let mut ids = [prompt, answer].concat();
            let wanted: Vec<usize> = perturbation.masked.iter().map(|&i| prompt.len() + i).collect();
            wanted.iter().for_each(|&position| ids[position] = mask_id);
            let unconditional = guided.then(|| [vec![mask_id; prompt.len()].as_slice(), &ids[prompt.len()..]].concat());
            (ids, unconditional, wanted)
        };
        let sequences: Vec<_> = perturbations.iter().map(masked).collect();
        let conditional = sequences.iter().map(|(ids, _, wanted)| Row::new(ids, wanted));
        let unconditional = sequences.iter().filter_map(|(_, ids, wanted)| Some(Row::new(ids.as_deref()?, wanted)));
        let rows: Vec<Row<'_>> = conditional.chain(unconditional).collect();
        self.predictor.forward(&rows).map_err(InferError::predict)?;
        let row = |(row, perturbation): (usize, &Perturbation)| {
            let unconditional = guided.then_some((perturbations.len() + row, cfg_scale));
            let targets: Vec<u32> = perturbation.masked.iter().map(|&i| answer[i]).collect();
            self.log_p_row(Source { row, unconditional }, &targets)
        };
        perturbations.iter().enumerate().map(row).collect()
    }

    /// The sum of log p of `targets`, the tokens at a row's wanted positions.
    fn log_p_row(&mut self, source: Source, targets: &[u32]) -> Result<f64, InferError> {
        let logits_width = self.predictor.logits_width();
        let mut sum = 0.0;
        for range in chunks(targets.len()) {
            let logits = self.logits.read(&mut self.predictor, source, range.clone())?;
            let rows = logits.chunks(logits_width).zip(&targets[range]);
            sum += rows.map(|(logits, &target)| log_softmax_at(logits, target)).sum::<f64>();
        }
        Ok(sum)
    }
}
