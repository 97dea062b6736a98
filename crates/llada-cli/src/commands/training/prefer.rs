//! `llada prefer`: preference optimisation from pairs of answers.

use std::path::PathBuf;

use llada_train::config::Training;
use serde::Serialize;

use super::{RunFile, RunKeys};

/// Teach a model to prefer some answers to others (VRPO)
///
/// Each line of the data is a prompt with an answer that was chosen and one that was rejected: {"prompt": ...,
/// "chosen": ..., "rejected": ...}, texts or lists of messages. Before the first step the likelihoods under the model
/// at the start are computed; they are kept in OUT/reference.jsonl. Ctrl-C saves and ends; the same command goes on,
/// bit for bit.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a run file:
  out = "preferred"
  data = "pairs.jsonl"
  init = "sft/model"
  steps = 200
  preference = { beta = 0.2, num_samples = 8 }
  schedule = { lr = 1e-6 }"#)]
pub(crate) struct Args {
    #[command(flatten)]
    file: RunFile,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args, Serialize)]
struct Keys {
    /// JSON lines of pairs, or a folder of such files
    #[arg(long, value_name = "FILE", help_heading = "Keys of the run file")]
    data: Option<PathBuf>,
    #[serde(flatten)]
    #[command(flatten)]
    run: RunKeys,
    #[command(flatten)]
    preference: PreferenceKeys,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [preference]")]
struct PreferenceKeys {
    /// Factor of the margin between the answers [default: 0.2]
    #[arg(long, value_name = "F")]
    beta: Option<f64>,
    /// sigmoid, DPO's, hinge or ipo [default: sigmoid]
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    /// With sigmoid, the probability that a label is wrong [default: 0]
    #[arg(long, value_name = "F")]
    label_smoothing: Option<f64>,
    /// Masks under which the likelihood of an answer is estimated [default: 8]
    #[arg(long, value_name = "N")]
    num_samples: Option<usize>,
    /// stratified, masks of sizes that are spread evenly, or independent, token by token [default: stratified]
    #[arg(long, value_name = "NAME")]
    masks: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    super::run(&args.file, &args.keys, Training::Preference)
}
