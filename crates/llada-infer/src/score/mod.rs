//! Likelihood scoring: log p(answer | prompt), estimated by masking the answer in many ways (`get_log_likelihood.py`).

mod active;
mod sample;

use llada_core::{
    likelihood::{BATCH_SIZE, Estimate, MC_NUM, MaskingPlan, Perturbation},
    predictor::MaskPredictor,
    rng::Noise,
};
use serde::{Deserialize, Serialize};

use crate::{Engine, InferError, error::check_non_negative};
pub(crate) use active::ActiveScore;
use sample::Samples;

/// Which estimator of the likelihood bound to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Estimator {
    /// Every token is masked independently with a uniform probability t, weight 1/t: the training objective (equation 4
    /// of the paper), with a high variance.
    #[serde(rename = "form-a")]
    IndependentMasks,
    /// Exactly ℓ tokens are masked, ℓ stratified over 1..L, weight L/ℓ (equation 6): what evaluation uses.
    #[default]
    #[serde(rename = "form-b")]
    StratifiedCounts,
}

/// How to score an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreConfig {
    /// Samples; an answer of one token needs, and gets, a single one with stratified counts.
    pub mc_num: usize,
    /// Samples that go to the model together, and that stratified counts spread evenly over the numbers of masks.
    pub batch_size: usize,
    /// Scale of classifier-free guidance; 0 is none.
    pub cfg_scale: f32,
    /// The estimator.
    pub estimator: Estimator,
    /// Seed of the masks.
    pub seed: u64,
    /// Tells apart the questions that share a seed: those of another number are masked by independent noise.
    pub sample: u64,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        let estimator = Estimator::default();
        Self { mc_num: MC_NUM, batch_size: BATCH_SIZE, cfg_scale: 0.0, estimator, seed: 0, sample: 0 }
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

/// An answer to score, and the prompt that it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScoreRequest {
    /// Token ids; may be empty.
    pub prompt: Vec<u32>,
    /// Token ids, at least one.
    pub answer: Vec<u32>,
}

impl ScoreRequest {
    /// A request to score `answer` after `prompt`.
    pub fn new(prompt: impl Into<Vec<u32>>, answer: impl Into<Vec<u32>>) -> Self {
        Self { prompt: prompt.into(), answer: answer.into() }
    }

    fn check_length(&self, max_sequence_length: usize) -> Result<(), InferError> {
        let (prompt, answer) = (self.prompt.len(), self.answer.len());
        if prompt + answer > max_sequence_length {
            return Err(InferError::ScoredTooLong { prompt, answer, max_sequence_length });
        }
        Ok(())
    }
}

impl ScoreConfig {
    /// Checks what can be known of the options of a question before the first forward.
    ///
    /// # Errors
    /// An answer or a setting is empty, or a sequence too long.
    fn validate(&self, options: &[ScoreRequest], max_sequence_length: usize) -> Result<(), InferError> {
        check_non_negative("cfg_scale", self.cfg_scale)?;
        for option in options {
            option.check_length(max_sequence_length)?;
            // A plan of the smallest answer costs nothing and refuses the same settings.
            self.plan(option.answer.len().min(1))?;
        }
        Ok(())
    }

    /// How an answer of `length` tokens is masked. Plans of the same length are the same.
    fn plan(&self, length: usize) -> Result<MaskingPlan, InferError> {
        let &Self { mc_num, batch_size, sample, .. } = self;
        let noise = Noise::new(self.seed);
        let plan = match self.estimator {
            Estimator::IndependentMasks => MaskingPlan::independent(length, mc_num, noise, sample),
            Estimator::StratifiedCounts if self.is_exact(length) => {
                MaskingPlan::stratified(1, mc_num.min(1), batch_size, noise, sample)
            }
            Estimator::StratifiedCounts => MaskingPlan::stratified(length, mc_num, batch_size, noise, sample),
        };
        Ok(plan?)
    }

    /// Whether a single sample has no error: there is one way to mask an answer of one token.
    fn is_exact(&self, length: usize) -> bool {
        self.estimator == Estimator::StratifiedCounts && length == 1
    }
}

impl<P: MaskPredictor> Engine<P> {
    /// Checks what can be known of the options of a question before the first forward.
    ///
    /// # Errors
    /// An answer or a setting is empty, or a sequence too long.
    pub fn validate_options(&self, options: &[ScoreRequest], config: &ScoreConfig) -> Result<(), InferError> {
        config.validate(options, self.predictor.max_sequence_length())
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
        let option = ScoreRequest::new(prompt, answer);
        option.check_length(self.predictor.max_sequence_length())?;
        let mut samples = Samples::new(cfg_scale);
        for perturbation in perturbations {
            samples.push(&option, perturbation, self.vocabulary.mask_id);
        }
        let mut rows = Vec::new();
        samples.push_rows(&mut rows);
        let mut hidden = self.predictor.forward(&rows).map_err(InferError::predict)?;
        samples.log_p(&mut hidden, 0, &mut self.buffers, self.vocabulary.padded_size)
    }
}
