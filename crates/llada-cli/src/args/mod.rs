//! What can be typed. Each command's own arguments are beside the command; those that several share are here.

mod model;
mod sampler;

pub(crate) use model::ModelArgs;
pub(crate) use sampler::{SamplerArgs, read_options};

use std::{fmt::Display, str::FromStr};

use clap::{Parser, Subcommand};
use llada_core::Hint;
use llada_infer::InferError;
use llada_model::{Device, ModelError};
use llada_train::data::DatasetKind;

use crate::{
    commands::{batch, compare, data, eval, generate, inspect, logits, quantize, score, tasks, tokenizer, training},
    hint::flag,
};

/// LLaDA in Rust: sample from, score with, and look into masked diffusion language models.
///
/// A LLaDA model predicts all masked tokens of a text at once. Sampling starts from an answer of masks only and keeps
/// the surest predictions of each step: fewer steps are faster, more steps are better.
#[derive(Parser)]
#[command(name = "llada", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the environment lacks something, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Generate(generate::Args),
    Batch(batch::Args),
    Compare(compare::Args),
    Score(score::Args),
    Logits(logits::Args),
    Inspect(inspect::Args),
    Quantize(quantize::Args),
    Pretrain(training::PretrainArgs),
    Sft(training::SftArgs),
    #[command(subcommand)]
    Tokenizer(tokenizer::Command),
    #[command(subcommand)]
    Data(data::Command),
    #[command(subcommand)]
    Tasks(tasks::Command),
    #[command(subcommand)]
    Eval(eval::Command),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Generate(args) => generate::run(args),
            Self::Batch(args) => batch::run(args),
            Self::Compare(args) => compare::run(args),
            Self::Score(args) => score::run(args),
            Self::Logits(args) => logits::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Quantize(args) => quantize::run(&args),
            Self::Pretrain(args) => training::run(args.args, DatasetKind::Pretrain),
            Self::Sft(args) => training::run(args.args, DatasetKind::Sft),
            Self::Tokenizer(command) => tokenizer::run(command),
            Self::Data(command) => data::run(command),
            Self::Tasks(command) => tasks::run(command),
            Self::Eval(command) => eval::run(command),
        }
    }
}

/// Parses the name of a method.
pub(crate) fn named<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err: Into<InferError>>,
{
    text.parse().map_err(|error: T::Err| {
        let error: InferError = error.into();
        with_hint(&error, error.hint())
    })
}

/// Parses the name of a device.
pub(crate) fn device(name: &str) -> Result<Device, String> {
    name.parse().map_err(|error: ModelError| with_hint(&error, error.hint()))
}

/// Writes the hint into the message, because clap shows only the message of an argument's error.
pub(crate) fn with_hint(error: &impl Display, hint: Option<Hint>) -> String {
    match hint {
        Some(hint) => format!("{error}; hint: {}", hint.render(flag)),
        None => error.to_string(),
    }
}

/// Token ids, separated by commas: `1,2,3`. There may be none.
#[derive(Clone)]
pub(crate) struct Ids(pub(crate) Vec<u32>);

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ids = Vec::new();
        if !text.trim().is_empty() {
            for id in text.trim().split(',') {
                ids.push(id.trim().parse().map_err(|_| format!("{id:?} is not a token id"))?);
            }
        }
        Ok(Self(ids))
    }
}
