//! `llada pretrain`: training on text, from new weights or from a checkpoint.

use std::path::PathBuf;

use llada_train::config::{DataPart, Training};
use serde::Serialize;

use super::{RunFile, RunKeys, data_key};

/// Train a model on text
///
/// Ctrl-C saves and ends; the same command goes on from the last checkpoint, bit for bit. At the end `OUT/model` is a
/// checkpoint for `llada generate`, or `OUT/adapter` an adapter for its `--adapter`, if a key of [adapter] is given.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a run file:
  out = "run"
  data = "data"
  tokenizer = "tokenizer"
  steps = 2000
  model = { d_model = 256, n_layers = 6, n_heads = 4, mlp_hidden_size = 768, max_sequence_length = 128 }
  schedule = { lr = 1e-3, warmup_steps = 100 }"#)]
pub(crate) struct Args {
    #[command(flatten)]
    file: RunFile,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args, Serialize)]
struct Keys {
    /// Dataset to train on; several with their shares of the rows, as in --data A=0.7 --data B=0.3, in a
    /// run file [{ path = "A", weight = 0.7 }, ...]
    #[arg(long, value_name = "DIR[=WEIGHT]", value_parser = data_key::part, help_heading = "Keys of the run file")]
    #[serde(serialize_with = "data_key::data", skip_serializing_if = "Vec::is_empty")]
    data: Vec<DataPart>,
    #[serde(flatten)]
    #[command(flatten)]
    run: RunKeys,
    /// Tokenizer of a new model
    #[arg(long, value_name = "DIR", help_heading = "Keys of pre-training")]
    tokenizer: Option<PathBuf>,
    /// diffusion, LLaDA's, or ar, the autoregressive baseline [default: diffusion]
    #[arg(long, value_name = "NAME", help_heading = "Keys of pre-training")]
    objective: Option<String>,
    /// Tokens of a row [default: the model's max_sequence_length]
    #[arg(long, value_name = "N", help_heading = "Keys of pre-training")]
    row_length: Option<usize>,
    /// Short rows in one step in a hundred [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Keys of pre-training")]
    random_length: Option<bool>,
    /// Noise levels spread evenly over a batch [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Keys of pre-training")]
    stratified_t: Option<bool>,
    #[command(flatten)]
    model: ModelKeys,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [model], the shape of a new model")]
struct ModelKeys {
    /// Width of the residual stream
    #[arg(long, value_name = "N")]
    d_model: Option<usize>,
    /// Number of blocks
    #[arg(long, value_name = "N")]
    n_layers: Option<usize>,
    /// Number of query heads
    #[arg(long, value_name = "N")]
    n_heads: Option<usize>,
    /// Number of key and value heads [default: n_heads]
    #[arg(long, value_name = "N")]
    n_kv_heads: Option<usize>,
    /// Hidden width of the gated MLP
    #[arg(long, value_name = "N")]
    mlp_hidden_size: Option<usize>,
    /// Longest sequence
    #[arg(long, value_name = "N")]
    max_sequence_length: Option<usize>,
    /// Base of the rotary embedding's frequencies [default: 500000]
    #[arg(long, value_name = "F")]
    rope_theta: Option<f64>,
    /// The head is the embedding's transpose [default: false]
    #[arg(long, value_name = "BOOL")]
    weight_tying: Option<bool>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    super::run(&args.file, &args.keys, Training::Pretrain)
}
