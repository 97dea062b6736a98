//! The table `[sft]` of a run file.

use std::path::Path;

use llada_core::objective::{LossWeight, Normalisation};
use serde::{Deserialize, Serialize};

use crate::{TrainError, data::Format, objective::Objective};

/// The settings of fine-tuning. Values in brackets are defaults, those of LLaDA (arXiv 2502.09992).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// What follows the last answer of a row \[answer\].
    pub padding: Padding,
    /// Which answers of a conversation are learned at once \[sampled\].
    pub turns: Option<Turns>,
    /// `sequence`, every answer counts alike, `token`, every token does, or `batch` \[sequence\].
    pub normalisation: Normalisation,
    /// `scheduler`, one over the probability of the mask, or `uniform` \[scheduler\].
    pub loss_weight: LossWeight,
    /// Whether each row is seen twice, the second time with the complement of its mask \[false\].
    pub complementary: bool,
    /// The format of the files \[found in each file\].
    pub format: Option<Format>,
    /// Of a folder with several splits, the one to train on \[train\].
    pub split: Option<String>,
    /// Of a Hugging Face dataset with several configurations, the one to train on \[its default\].
    pub config_name: Option<String>,
    /// The largest number of tokens of a record; longer ones are left out \[the model's max_sequence_length\].
    pub max_length: Option<usize>,
    /// The smallest number of tokens of a last answer with its padding \[1\].
    pub answer_length: Option<usize>,
}

/// What follows the last answer of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Padding {
    /// End-of-text tokens up to the longest row of the batch, all of them learned (LLaDA).
    #[default]
    Answer,
    /// One end-of-text token, which is learned. Rows are as long as they are.
    OneEos,
    /// Nothing. Rows are as long as they are (iLLaDA).
    None,
}

/// Which answers of a conversation are learned at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Turns {
    /// The last.
    Last,
    /// All of them, in one row.
    All,
    /// One of them, drawn anew in every epoch; what is said after it is left out (section 2.3 of the LLaDA paper).
    #[default]
    Sampled,
}

impl SftConfig {
    pub(super) fn check(&self, objective: Objective) -> Result<(), TrainError> {
        for (key, value) in [("sft.max_length", self.max_length), ("sft.answer_length", self.answer_length)] {
            if value == Some(0) {
                return Err(TrainError::config(key, 0, "it has to be at least 1"));
            }
        }
        if self.answer_length.is_some() && self.padding != Padding::Answer {
            return Err(TrainError::config("sft.answer_length", "set", "only sft.padding answer fills answers up"));
        }
        if objective == Objective::Ar && (self.complementary || self.loss_weight != LossWeight::default()) {
            let hint = "it has no masks: leave out sft.complementary and sft.loss_weight";
            return Err(TrainError::config("objective", "ar", hint));
        }
        Ok(())
    }

    /// Refuses what the prepared dataset in `folder` has settled.
    pub(crate) fn check_prepared(&self, folder: &Path) -> Result<(), TrainError> {
        let settled = [
            ("sft.padding", self.padding != Padding::default()),
            ("sft.turns", self.turns.is_some()),
            ("sft.format", self.format.is_some()),
            ("sft.split", self.split.is_some()),
            ("sft.config_name", self.config_name.is_some()),
            ("sft.max_length", self.max_length.is_some()),
            ("sft.answer_length", self.answer_length.is_some()),
        ];
        match settled.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => {
                let folder = folder.display();
                let hint = format!("{folder} was prepared and has settled it: give the files of its conversations");
                Err(TrainError::config(key, "set", hint))
            }
            None => Ok(()),
        }
    }
}
