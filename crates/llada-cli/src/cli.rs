//! The command line of `llada`: its commands and how they are run.

use clap::{Parser, Subcommand};

use crate::commands::{
    adapter, batch, chat, checkpoint, compare, convert, data, decide, eval, filter, generate, inspect, launch, logits,
    plan, quantize, score, serve, tasks, tokenizer, training,
};

/// LLaDA in Rust: sample from, score with, and look into masked diffusion language models.
///
/// A LLaDA model predicts all masked tokens of a text at once. Sampling starts from an answer of masks only and keeps
/// the most confident predictions of each step: fewer steps are faster, more steps are better.
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
    Chat(chat::Args),
    Batch(batch::Args),
    Compare(compare::Args),
    Score(score::Args),
    Decide(decide::Args),
    Serve(serve::Args),
    Logits(logits::Args),
    Inspect(inspect::Args),
    Quantize(quantize::Args),
    #[command(subcommand)]
    Adapter(adapter::Command),
    Convert(convert::Args),
    Pretrain(training::pretrain::Args),
    Sft(training::sft::Args),
    Prefer(training::prefer::Args),
    Rl(training::rl::Args),
    Distill(training::distill::Args),
    Filter(filter::Args),
    Launch(launch::Args),
    #[command(subcommand)]
    Checkpoint(checkpoint::Command),
    Plan(plan::Args),
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
            Self::Chat(args) => chat::run(args),
            Self::Batch(args) => batch::run(args),
            Self::Compare(args) => compare::run(args),
            Self::Score(args) => score::run(args),
            Self::Decide(args) => decide::run(args),
            Self::Serve(args) => serve::run(args),
            Self::Logits(args) => logits::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Quantize(args) => quantize::run(&args),
            Self::Adapter(command) => adapter::run(command),
            Self::Convert(args) => convert::run(args),
            Self::Pretrain(args) => training::pretrain::run(&args),
            Self::Sft(args) => training::sft::run(&args),
            Self::Prefer(args) => training::prefer::run(&args),
            Self::Rl(args) => training::rl::run(&args),
            Self::Distill(args) => training::distill::run(&args),
            Self::Filter(args) => filter::run(args),
            Self::Launch(args) => launch::run(&args),
            Self::Checkpoint(command) => checkpoint::run(command),
            Self::Plan(args) => plan::run(&args),
            Self::Tokenizer(command) => tokenizer::run(command),
            Self::Data(command) => data::run(command),
            Self::Tasks(command) => tasks::run(command),
            Self::Eval(command) => eval::run(command),
        }
    }
}
