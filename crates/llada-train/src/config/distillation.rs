//! The table `[distillation]` of a run file.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The settings of distillation for parallel decoding. Values in brackets are defaults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillationConfig {
    /// The method \[dparallel\].
    pub objective: DistillationMethod,
    /// The number of tokens of an answer that the model decodes itself \[256\].
    pub gen_length: usize,
    /// The number of tokens of a block \[32\].
    pub block_length: usize,
    /// The temperature of the entropies \[0.5, with `cap` 1\].
    pub temperature: Option<f64>,
    /// The weight of the entropy of right predictions \[2 of dParallel and d3LLM, with `cap` 0.1\].
    pub entropy_weight: Option<f64>,
    /// With `d3llm`, the largest share of the block that is masked \[0.8\].
    pub mask_ratio: f64,
}

/// A method of distillation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DistillationMethod {
    /// Random halves of a block (arXiv 2509.26488).
    #[default]
    Dparallel,
    /// The states in which a block was decoded, from the last tokens to ever more of them (arXiv 2601.07568).
    D3llm,
    /// Fine-tuning on given answers, with the entropy of right predictions (confidence-aware parallel training of
    /// LLaDA2.0, arXiv 2512.15745).
    Cap,
}

impl DistillationMethod {
    /// The name in run files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dparallel => "dparallel",
            Self::D3llm => "d3llm",
            Self::Cap => "cap",
        }
    }
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            objective: DistillationMethod::Dparallel,
            gen_length: 256,
            block_length: 32,
            temperature: None,
            entropy_weight: None,
            mask_ratio: 0.8,
        }
    }
}

impl DistillationConfig {
    /// The temperature of the entropies.
    pub(crate) fn temperature(&self) -> f64 {
        self.temperature.unwrap_or(if self.objective == DistillationMethod::Cap { 1.0 } else { 0.5 })
    }

    /// The weight of the entropy of right predictions.
    pub(crate) fn entropy_weight(&self) -> f64 {
        self.entropy_weight.unwrap_or(if self.objective == DistillationMethod::Cap { 0.1 } else { 2.0 })
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        for (key, value) in
            [("distillation.gen_length", self.gen_length), ("distillation.block_length", self.block_length)]
        {
            if value == 0 {
                return Err(TrainError::config(key, 0, "it has to be at least 1"));
            }
        }
        let temperature = self.temperature();
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(TrainError::config(
                "distillation.temperature",
                temperature,
                "give a positive number, such as 0.5",
            ));
        }
        let weight = self.entropy_weight();
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(TrainError::config("distillation.entropy_weight", weight, "give a number from 0 on"));
        }
        if !(0.0..=1.0).contains(&self.mask_ratio) {
            return Err(TrainError::config(
                "distillation.mask_ratio",
                self.mask_ratio,
                "give a part of 1, such as 0.8",
            ));
        }
        Ok(())
    }
}
