//! `llada distill`: distillation for parallel decoding.

use std::path::PathBuf;

use llada_train::config::Training;
use serde::Serialize;

use super::{RunFile, RunKeys};

/// Teach a model to decode many tokens at once
///
/// The model answers the prompts of the data one token a step, before the first step, and learns to be certain of these
/// answers. They are kept in OUT/trajectories.jsonl. With `--objective cap` the data is a dataset of answers, as for
/// `llada sft`. Ctrl-C saves and ends; the same command goes on, bit for bit.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a run file:
  out = "distilled"
  data = "prompts.jsonl"
  init = "sft/model"
  steps = 500
  distillation = { objective = "dparallel", gen_length = 64, block_length = 32 }"#)]
pub(crate) struct Args {
    #[command(flatten)]
    file: RunFile,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args, Serialize)]
struct Keys {
    /// JSON lines of prompts, or a folder of such files; with cap, a dataset
    #[arg(long, value_name = "FILE", help_heading = "Keys of the run file")]
    data: Option<PathBuf>,
    #[serde(flatten)]
    #[command(flatten)]
    run: RunKeys,
    #[command(flatten)]
    distillation: DistillationKeys,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [distillation]")]
struct DistillationKeys {
    /// dparallel, d3llm or cap [default: dparallel]
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
    /// Tokens of an answer that the model decodes [default: 256]
    #[arg(long, value_name = "N")]
    gen_length: Option<usize>,
    /// Tokens of a block [default: 32]
    #[arg(long, value_name = "N")]
    block_length: Option<usize>,
    /// Temperature of the entropies [default: 0.5, with cap 1]
    #[arg(long, value_name = "F")]
    temperature: Option<f64>,
    /// Weight of the entropy of right predictions [default: 2, with cap 0.1]
    #[arg(long, value_name = "F")]
    entropy_weight: Option<f64>,
    /// With d3llm, the largest share of a block that is masked [default: 0.8]
    #[arg(long, value_name = "F")]
    mask_ratio: Option<f64>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    super::run(&args.file, &args.keys, Training::Distillation)
}
