//! The table `[preference]` of a run file.

use llada_core::preference::PreferenceLoss;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The settings of preference optimisation. Values in brackets are defaults, those of LLaDA 1.5 (arXiv 2505.19223).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreferenceConfig {
    /// The factor of the margin between the answers \[0.2\].
    pub beta: f64,
    /// `sigmoid`, DPO's, `hinge` or `ipo` \[sigmoid\].
    pub loss: LossName,
    /// With `sigmoid`, the probability that a label is wrong \[0\].
    pub label_smoothing: f64,
    /// The number of masks under which the likelihood of an answer is estimated \[8\].
    pub num_samples: usize,
    /// `stratified`, masks whose sizes are spread evenly, or `independent`, masked token by token \[stratified\].
    pub masks: Masks,
}

/// The name of a loss of preferences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LossName {
    /// DPO's, with label smoothing conservative DPO's.
    #[default]
    Sigmoid,
    /// SLiC's.
    Hinge,
    /// IPO's.
    Ipo,
}

/// How an answer is masked to estimate its likelihood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Masks {
    /// In exact numbers of tokens, spread evenly.
    #[default]
    Stratified,
    /// Token by token, with a random probability.
    Independent,
}

impl Default for PreferenceConfig {
    fn default() -> Self {
        Self { beta: 0.2, loss: LossName::Sigmoid, label_smoothing: 0.0, num_samples: 8, masks: Masks::Stratified }
    }
}

impl PreferenceConfig {
    /// The loss with its settings.
    pub(crate) fn loss(&self) -> PreferenceLoss {
        match self.loss {
            LossName::Sigmoid => PreferenceLoss::Sigmoid { label_smoothing: self.label_smoothing },
            LossName::Hinge => PreferenceLoss::Hinge,
            LossName::Ipo => PreferenceLoss::Ipo,
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            return Err(TrainError::config("preference.beta", self.beta, "give a positive number, such as 0.2"));
        }
        if !(0.0..0.5).contains(&self.label_smoothing) {
            let hint = "give a probability below 0.5";
            return Err(TrainError::config("preference.label_smoothing", self.label_smoothing, hint));
        }
        if self.label_smoothing > 0.0 && self.loss != LossName::Sigmoid {
            let hint = "only the loss sigmoid has it";
            return Err(TrainError::config("preference.label_smoothing", self.label_smoothing, hint));
        }
        if self.num_samples == 0 {
            return Err(TrainError::config("preference.num_samples", 0, "it has to be at least 1"));
        }
        Ok(())
    }
}
