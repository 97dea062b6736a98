//! `llada sft`: fine-tuning on prompts and answers.

use std::path::PathBuf;

use llada_train::config::Training;
use serde::Serialize;

use super::{RunFile, RunKeys};

/// Fine-tune a model on prompts and answers
///
/// Ctrl-C saves and ends; the same command goes on from the last checkpoint, bit for bit. At the end `OUT/model` is a
/// checkpoint for `llada generate`, or `OUT/adapter` an adapter for its `--adapter`, if a key of [adapter] is given.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a run file:
  out = "sft"
  data = "chats"
  init = "run/model"
  steps = 500
  group_by_length = true
  adapter = { r = 16, lora_alpha = 32 }
  base_dtype = "nf4""#)]
pub(crate) struct Args {
    #[command(flatten)]
    file: RunFile,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args, Serialize)]
struct Keys {
    /// Dataset to train on
    #[arg(long, value_name = "DIR", help_heading = "Keys of the run file")]
    data: Option<PathBuf>,
    #[serde(flatten)]
    #[command(flatten)]
    run: RunKeys,
    /// diffusion, LLaDA's, or ar, the autoregressive baseline [default: diffusion]
    #[arg(long, value_name = "NAME", help_heading = "Keys of fine-tuning")]
    objective: Option<String>,
    /// Noise levels spread evenly over a batch [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Keys of fine-tuning")]
    stratified_t: Option<bool>,
    /// Records of about one length in a batch [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Keys of fine-tuning")]
    group_by_length: Option<bool>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    super::run(&args.file, &args.keys, Training::Sft)
}
