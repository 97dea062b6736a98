//! What a run trains for, and which keys of a run file are for it. A key that would have no effect is an error.

use toml::{Table, Value};

use super::DistillationMethod;
use crate::{TrainError, lr::ScheduleConfig};

/// What a run trains for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Training {
    /// To continue text, from documents.
    Pretrain,
    /// To answer, from prompts and answers.
    Sft,
    /// To prefer some answers to others, from pairs.
    Preference,
    /// To give answers that a program rewards.
    Rl,
    /// To decode many tokens at once.
    Distillation,
}

/// The keys that not every kind of training reads, with those that do.
const READERS: [(&str, &[Training]); 8] = [
    ("row_length", &[Training::Pretrain]),
    ("random_length", &[Training::Pretrain]),
    ("stratified_t", &[Training::Pretrain, Training::Sft, Training::Distillation]),
    ("group_by_length", &[Training::Sft, Training::Distillation]),
    ("sft", &[Training::Sft, Training::Distillation]),
    ("preference", &[Training::Preference]),
    ("rl", &[Training::Rl]),
    ("distillation", &[Training::Distillation]),
];

/// The keys that not every method of distillation reads, with those that do.
const METHODS: [(&str, &[DistillationMethod]); 6] = [
    ("stratified_t", &[DistillationMethod::Cap]),
    ("group_by_length", &[DistillationMethod::Cap]),
    ("sft", &[DistillationMethod::Cap]),
    ("distillation.gen_length", &[DistillationMethod::Dparallel, DistillationMethod::D3llm]),
    ("distillation.block_length", &[DistillationMethod::Dparallel, DistillationMethod::D3llm]),
    ("distillation.mask_ratio", &[DistillationMethod::D3llm]),
];

/// What trl, LLaMA-Factory and axolotl call several conversations in one row, which saves them padding.
const PACKING: [&str; 3] = ["packing", "sft.packing", "sample_packing"];

impl Training {
    /// The kind of training in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pre-training",
            Self::Sft => "fine-tuning",
            Self::Preference => "preference optimisation",
            Self::Rl => "reinforcement learning",
            Self::Distillation => "distillation",
        }
    }

    /// Lets the learning rate of the last step follow `lr` where it is constant unless a run says otherwise.
    pub(super) fn complete(self, given: &mut Table) {
        if matches!(self, Self::Pretrain | Self::Sft) {
            return;
        }
        if let Some(Value::Table(schedule)) = given.get_mut("schedule")
            && let Some(lr) = schedule.get("lr").cloned()
        {
            schedule.entry("min_lr").or_insert(lr);
        }
    }

    /// The learning rates unless a run says others.
    pub(super) fn schedule(self) -> ScheduleConfig {
        match self {
            Self::Pretrain => ScheduleConfig::default(),
            Self::Sft => ScheduleConfig::sft(),
            Self::Preference => ScheduleConfig::preference(),
            Self::Rl => ScheduleConfig::rl(),
            Self::Distillation => ScheduleConfig::distillation(),
        }
    }

    /// Refuses keys that other kinds of training read, and those of other programs for what is not needed here.
    pub(super) fn check_keys(self, given: &Table) -> Result<(), TrainError> {
        if let Some(key) = PACKING.into_iter().find(|key| has(given, key)) {
            let hint = "rows of any lengths are computed side by side: sft.padding one_eos or none pads nothing, and rows of \
                        pre-training are full";
            return Err(TrainError::config(key, "given", hint));
        }
        match READERS.into_iter().find(|(key, readers)| has(given, key) && !readers.contains(&self)) {
            Some((key, readers)) => Err(TrainError::OtherTraining { key, readers }),
            None => Ok(()),
        }
    }
}

impl DistillationMethod {
    /// Refuses keys that other methods read.
    pub(super) fn check_keys(self, given: &Table) -> Result<(), TrainError> {
        match METHODS.into_iter().find(|(key, methods)| has(given, key) && !methods.contains(&self)) {
            Some((key, methods)) => {
                let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
                let hint = format!("it is for distillation.objective {}", names.join(" and "));
                Err(TrainError::config(key, "given", hint))
            }
            None => Ok(()),
        }
    }
}

/// Whether `given` has a key, or a key of a table behind a full stop.
fn has(given: &Table, key: &str) -> bool {
    match key.split_once('.') {
        None => given.contains_key(key),
        Some((table, key)) => given.get(table).is_some_and(|table| table.get(key).is_some()),
    }
}
