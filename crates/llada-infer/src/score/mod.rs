//! Likelihood scoring: log p(answer | prompt), estimated from random masks of the answer (`get_log_likelihood.py`).

mod active;
mod confidence;
mod decision;
mod sample;

use llada_core::{
    likelihood::{BATCH_SIZE, Estimate, MC_NUM, MaskingPlan},
    rng::Noise,
    trace::TokenLogprobs,
};
use serde::{Deserialize, Serialize};

use crate::{
    InferError,
    error::{check_non_negative, check_positive},
    vocabulary::Vocabulary,
};
pub(crate) use active::ActiveScore;
pub use decision::{Expectation, OptionDistribution};
pub(crate) use sample::Samples;

/// An estimator of the bound of the log-likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Estimator {
    /// Each token is masked independently with a uniform probability t, and the weight is 1/t: the training objective
    /// (equation 3 of the LLaDA paper). It has a high variance.
    #[serde(rename = "form-a")]
    IndependentMasks,
    /// Exactly ℓ tokens are masked, with ℓ stratified over 1..L, and the weight is L/ℓ (equation 6 of the LLaDA paper).
    /// Evaluations use this estimator.
    #[default]
    #[serde(rename = "form-b")]
    StratifiedCounts,
    /// Tokens are revealed one after the other, the most probable first, and the log-probabilities at which they were are
    /// summed: iLLaDA's score of multiple-choice options. It is deterministic, and no bound.
    #[serde(rename = "confidence")]
    Confidence,
    /// Each token is predicted given those before it, all others masked, and the log-probabilities are summed: the chain
    /// rule in the order of reading. It is the exact log-likelihood of a sampler that reveals the answer in this order, and
    /// takes as many samples as the answer has tokens.
    #[serde(rename = "left-to-right")]
    LeftToRight,
}

/// The settings of likelihood scoring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreConfig {
    /// The number of samples. With stratified counts, an answer of one token gets a single sample, which is exact.
    pub mc_num: usize,
    /// The number of samples in a mini-batch, which share a forward. Stratified counts spread the numbers of masks evenly
    /// over a mini-batch.
    pub batch_size: usize,
    /// The scale of classifier-free guidance; 0 means none.
    pub cfg_scale: f32,
    /// The estimator.
    pub estimator: Estimator,
    /// The seed of the masks.
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

/// The score of an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Score {
    /// The estimate of the log-likelihood and its standard error.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The number of forward evaluations, one per mini-batch.
    pub nfe: usize,
    /// What each mini-batch contributes to the error of the estimate ([`MaskingPlan::deviations`]); empty if the score is
    /// exact. Options that were scored together have theirs from the same noise.
    #[serde(skip)]
    pub deviations: Vec<f64>,
    /// The log-probability of each token of the answer given those before it, and those of its alternatives; empty unless
    /// the estimator is [`Estimator::LeftToRight`]. Their sum is the log-likelihood.
    #[serde(skip)]
    pub logprobs: Vec<TokenLogprobs>,
}

impl Score {
    /// The score of an answer of `length` tokens whose log-likelihood is no estimate.
    fn exact(log_likelihood: f64, length: usize, nfe: usize) -> Self {
        let (estimate, deviations) = (Estimate::exact(log_likelihood, length), Vec::new());
        Self { estimate, nfe, deviations, logprobs: Vec::new() }
    }
}

/// An answer to score, with the prompt that it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScoreRequest {
    /// The token ids of the prompt; may be empty.
    pub prompt: Vec<u32>,
    /// The token ids of the answer; at least one.
    pub answer: Vec<u32>,
    /// The token ids that follow the answer and are not scored, such as an end-of-text.
    pub suffix: Vec<u32>,
    top_logprobs: usize,
}

impl ScoreRequest {
    /// Creates a request to score `answer` after `prompt`.
    pub fn new(prompt: impl Into<Vec<u32>>, answer: impl Into<Vec<u32>>) -> Self {
        Self { prompt: prompt.into(), answer: answer.into(), suffix: Vec::new(), top_logprobs: 0 }
    }

    /// The same, with tokens after the answer that the model sees.
    #[must_use]
    pub fn with_suffix(mut self, suffix: impl Into<Vec<u32>>) -> Self {
        self.suffix = suffix.into();
        self
    }

    /// Asks for the log-probabilities of the `count` most probable alternatives of each token. Of the estimators,
    /// [`Estimator::LeftToRight`] alone has them.
    #[must_use]
    pub fn with_top_logprobs(mut self, count: usize) -> Self {
        self.top_logprobs = count;
        self
    }

    /// Checks that prompt and answer fit into the model.
    ///
    /// # Errors
    /// If they are longer than `max_sequence_length` together.
    pub(crate) fn check_length(&self, max_sequence_length: usize) -> Result<(), InferError> {
        let (prompt, answer) = (self.prompt.len(), self.answer.len() + self.suffix.len());
        if prompt + answer > max_sequence_length {
            return Err(InferError::ScoredTooLong { prompt, answer, max_sequence_length });
        }
        Ok(())
    }
}

impl ScoreConfig {
    /// Checks the settings and the options of a question.
    ///
    /// # Errors
    /// If an answer is empty, a setting is invalid, an id is unknown, or a sequence is too long.
    pub(crate) fn validate(
        &self,
        options: &[ScoreRequest],
        vocabulary: &Vocabulary,
        max_sequence_length: usize,
    ) -> Result<(), InferError> {
        check_non_negative("cfg_scale", self.cfg_scale)?;
        for option in options {
            option.check_length(max_sequence_length)?;
            let ids = option.prompt.iter().chain(&option.answer).chain(&option.suffix);
            if let Some((position, &id)) = ids.enumerate().find(|(_, id)| !vocabulary.knows(**id)) {
                return Err(InferError::UnknownId { id, position, limit: vocabulary.end() });
            }
            if matches!(self.estimator, Estimator::Confidence | Estimator::LeftToRight) {
                check_positive("answer_length", option.answer.len())?;
                continue;
            }
            // Planning for an answer of 0 or 1 tokens is cheap and refuses the same settings.
            self.plan(option.answer.len().min(1))?;
        }
        Ok(())
    }

    /// Plans the samples of an answer of `length` tokens, for an estimator that draws them in advance. Answers of the same
    /// length have the same plan.
    fn plan(&self, length: usize) -> Result<MaskingPlan, InferError> {
        let &Self { mc_num, batch_size, sample, .. } = self;
        let noise = Noise::new(self.seed);
        let plan = match self.estimator {
            Estimator::IndependentMasks => MaskingPlan::independent(length, mc_num, noise, sample),
            Estimator::StratifiedCounts if self.is_exact(length) => {
                MaskingPlan::stratified(1, mc_num.min(1), batch_size, noise, sample)
            }
            Estimator::StratifiedCounts | Estimator::Confidence | Estimator::LeftToRight => {
                MaskingPlan::stratified(length, mc_num, batch_size, noise, sample)
            }
        };
        Ok(plan?)
    }

    /// Returns true if a single sample is exact, because there is only one way to mask an answer of one token.
    fn is_exact(&self, length: usize) -> bool {
        self.estimator == Estimator::StratifiedCounts && length == 1
    }
}
