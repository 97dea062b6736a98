//! `llada rl`: reinforcement learning on questions whose answers a program checks.

use std::path::PathBuf;

use llada_train::{config::Training, run::Run};
use serde::Serialize;

use super::{RunFile, RunKeys, environment};

/// Teach a model by rewards for answers that a program checks
///
/// The model answers each prompt several times, and learns from how its answers compare. Questions are those of
/// synthetic tasks (`llada tasks list`), whose held-out half is never asked, or those of a benchmark of `llada eval`
/// that is answered in words and needs no sandbox, with the records in --data. Ctrl-C saves and ends; the same command
/// goes on, bit for bit.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a run file:
  out = "rl"
  init = "sft/model"
  steps = 400
  batch_size = 32
  rl = { objective = "espo", tasks = ["addition", "sorting"], num_generations = 8, gen_length = 32 }"#)]
pub(crate) struct Args {
    #[command(flatten)]
    file: RunFile,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args, Serialize)]
struct Keys {
    /// Records of a benchmark
    #[arg(long, value_name = "FILE", help_heading = "Keys of the run file")]
    data: Option<PathBuf>,
    #[serde(flatten)]
    #[command(flatten)]
    run: RunKeys,
    #[command(flatten)]
    rl: RlKeys,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [rl]; those of the objective are keys of the file")]
struct RlKeys {
    /// espo, diffu_grpo, wd1, spg, coupled_grpo or trace_rl [default: espo]
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
    /// Synthetic tasks, or one benchmark
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    tasks: Option<Vec<String>>,
    /// Questions that are drawn from synthetic tasks [default: 1000]
    #[arg(long, value_name = "N")]
    num_prompts: Option<usize>,
    /// What rewards are compared with: centered, leave_one_out, standardized or z_score [default: the objective's own]
    #[arg(long, value_name = "NAME")]
    advantage: Option<String>,
    /// Answers to a prompt, which are compared with each other; it divides batch_size [default: 8]
    #[arg(long, value_name = "N")]
    num_generations: Option<usize>,
    /// Steps on the same answers [default: 8]
    #[arg(long, value_name = "N")]
    num_iterations: Option<usize>,
    /// Tokens of an answer [default: 256]
    #[arg(long, value_name = "N")]
    gen_length: Option<usize>,
    /// Tokens of a block [default: 32]
    #[arg(long, value_name = "N")]
    block_length: Option<usize>,
    /// Steps that an answer is sampled in [default: half of gen_length]
    #[arg(long, value_name = "N")]
    diffusion_steps: Option<usize>,
    /// Temperature of the sampler [default: 0.9]
    #[arg(long, value_name = "F")]
    temperature: Option<f64>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let ranks = args.file.ranks()?;
    let config = ranks.settle(args.file.load(&args.keys, Training::Rl)?);
    let environment = environment::open(&config)?;
    let collective = ranks.join(config.device)?;
    super::train(Run::rl_with(config, environment, collective)?, &ranks)
}
