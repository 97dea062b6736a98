//! `llada pretrain` and `llada sft`: training from a run file, whose keys flags override.

use std::{fmt::Display, path::PathBuf, str::FromStr};

use indicatif::{ProgressBar, ProgressStyle};
use llada_train::{
    config::RunConfig,
    data::DatasetKind,
    run::{Event, Outcome, Run},
};
use serde::{Serialize, Serializer};
use toml::Table;

use crate::{
    exit::{Interrupted, usage},
    interrupt,
};

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
pub(crate) struct PretrainArgs {
    #[command(flatten)]
    pub(crate) args: Args,
}

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
pub(crate) struct SftArgs {
    #[command(flatten)]
    pub(crate) args: Args,
}

/// What both commands take.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run file: TOML with the keys below, underscores for dashes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    keys: Keys,
}

/// The keys of a run file, as flags.
#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of the run file")]
struct Keys {
    /// Folder of the run: checkpoints, metrics, and at the end the model
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Dataset to train on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Dataset to validate on
    #[arg(long, value_name = "DIR")]
    validation: Option<PathBuf>,
    /// Checkpoint to start from, instead of new weights of the shape in the table `model`
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// f32, bf16, int8, nf4, or nf4-double: what frozen weights are kept in while an adapter is trained [default: dtype]
    #[arg(long, value_name = "NAME")]
    base_dtype: Option<String>,
    /// Tokenizer of a new model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// diffusion, LLaDA's, or ar, the autoregressive baseline [default: diffusion]
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
    /// Steps of the optimizer
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Rows of a step [default: 32]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Rows computed together; a step adds up the gradients [default: batch_size]
    #[arg(long, value_name = "N")]
    micro_batch_size: Option<usize>,
    /// Tokens of a row in pre-training [default: the model's max_sequence_length]
    #[arg(long, value_name = "N")]
    row_length: Option<usize>,
    /// Seed of weights, order, noise levels and masks [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// bf16 or f32: what is computed in; weights are f32 either way [default: bf16]
    #[arg(long, value_name = "NAME")]
    dtype: Option<String>,
    /// cpu, cuda, cuda:1 [default: cpu]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Short rows in one step of pre-training in a hundred [default: true]
    #[arg(long, value_name = "BOOL")]
    random_length: Option<bool>,
    /// Noise levels spread evenly over a batch [default: false]
    #[arg(long, value_name = "BOOL")]
    stratified_t: Option<bool>,
    /// Records of about one length in a batch of fine-tuning [default: false]
    #[arg(long, value_name = "BOOL")]
    group_by_length: Option<bool>,
    /// Blocks computed twice to save memory [default: false]
    #[arg(long, value_name = "BOOL")]
    activation_checkpointing: Option<bool>,
    /// Decay of a moving average of the weights, which the model at the end then has [default: none]
    #[arg(long, value_name = "F")]
    ema_decay: Option<f64>,
    /// Steps between checkpoints [default: 500]
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Checkpoints that are kept [default: 2]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Steps between validations [default: 500]
    #[arg(long, value_name = "N")]
    validate_every: Option<u64>,
    /// Rows that are validated on [default: 16]
    #[arg(long, value_name = "N")]
    validation_rows: Option<usize>,
    /// Maskings of each of them [default: 16]
    #[arg(long, value_name = "N")]
    mc_num: Option<usize>,
    /// bf16 or f32: what the model at the end is stored in [default: bf16, of an adapter f32]
    #[arg(long, value_name = "NAME")]
    export_dtype: Option<String>,
    #[command(flatten)]
    model: ModelKeys,
    #[command(flatten)]
    adapter: AdapterKeys,
    #[command(flatten)]
    schedule: ScheduleKeys,
    #[command(flatten)]
    optimizer: OptimizerKeys,
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

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [adapter], LoRA in place of training all weights; their names are peft's")]
struct AdapterKeys {
    /// Rank [default: 8]
    #[arg(long, value_name = "N")]
    r: Option<usize>,
    /// What adapters are multiplied by, once it is divided by the rank [default: 8]
    #[arg(long, value_name = "F")]
    lora_alpha: Option<f64>,
    /// Probability with which an element of an adapter's input is dropped [default: 0]
    #[arg(long, value_name = "F")]
    lora_dropout: Option<f64>,
    /// Divided by the root of the rank instead [default: false]
    #[arg(long, value_name = "BOOL")]
    use_rslora: Option<bool>,
    /// Layers with adapters, by the ends of their names; in a run file one text is a regular expression of whole names
    /// [default: all linear layers of the blocks]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    target_modules: Option<Vec<String>>,
    /// Layers without adapters all the same [default: none]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    exclude_modules: Option<Vec<String>>,
    /// Modules that are trained and saved as a whole, by the ends of their names [default: none]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    modules_to_save: Option<Vec<String>>,
    /// Numbers of the blocks with adapters, from 0, with a list of target_modules [default: all]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    layers_to_transform: Option<Vec<u64>>,
    /// Names of the lists that these numbers count in, as regular expressions [default: any]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    layers_pattern: Option<Vec<String>>,
    /// Ranks of layers whose names end with a match of a regular expression, a table in a run file [default: none]
    #[arg(long, value_name = "REGEX=N,...", value_delimiter = ',', value_parser = pattern::<i64>)]
    #[serde(serialize_with = "table")]
    rank_pattern: Option<Vec<(String, i64)>>,
    /// The same for lora_alpha [default: none]
    #[arg(long, value_name = "REGEX=F,...", value_delimiter = ',', value_parser = pattern::<f64>)]
    #[serde(serialize_with = "table")]
    alpha_pattern: Option<Vec<(String, f64)>>,
}

/// Parses a regular expression and a number.
fn pattern<T: FromStr<Err: Display>>(text: &str) -> Result<(String, T), String> {
    let (pattern, value) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} is not REGEX=NUMBER"))?;
    Ok((pattern.to_owned(), value.parse().map_err(|error| format!("{value:?}: {error}"))?))
}

fn table<S: Serializer, T: Serialize>(entries: &Option<Vec<(String, T)>>, serializer: S) -> Result<S::Ok, S::Error> {
    match entries {
        None => serializer.serialize_none(),
        Some(entries) => serializer.collect_map(entries.iter().map(|(pattern, value)| (pattern, value))),
    }
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [schedule], the learning rate")]
struct ScheduleKeys {
    /// wsd, warm-up-stable-decay, or cosine [default: wsd]
    #[arg(long, value_name = "NAME")]
    decay: Option<String>,
    /// Highest learning rate [default: 4e-4, in fine-tuning 2.5e-5]
    #[arg(long, value_name = "F")]
    lr: Option<f64>,
    /// Learning rate of the last step [default: 1e-5, in fine-tuning 2.5e-6]
    #[arg(long, value_name = "F")]
    min_lr: Option<f64>,
    /// Steps of the linear rise [default: 2000, in fine-tuning 50]
    #[arg(long, value_name = "N")]
    warmup_steps: Option<u64>,
    /// With wsd, the part of all steps in which it falls [default: 0.1]
    #[arg(long, value_name = "F")]
    decay_ratio: Option<f64>,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [optimizer], AdamW")]
struct OptimizerKeys {
    /// Decay of the moving averages of the gradient and of its square [default: 0.9,0.95]
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    betas: Option<Vec<f64>>,
    /// Added to the root of the second [default: 1e-8]
    #[arg(long, value_name = "F")]
    eps: Option<f64>,
    /// Decoupled weight decay of matrices [default: 0.1]
    #[arg(long, value_name = "F")]
    weight_decay: Option<f64>,
    /// Longer gradients are scaled to this norm [default: 1]
    #[arg(long, value_name = "F")]
    clip: Option<f64>,
}

pub(crate) fn run(args: Args, kind: DatasetKind) -> anyhow::Result<()> {
    let mut flags = Table::try_from(&args.keys)?;
    // Sections without a typed key are empty tables here, which would count as given.
    flags.retain(|_, value| value.as_table().is_none_or(|section| !section.is_empty()));
    let config = match &args.config {
        Some(path) => RunConfig::load(path, kind, flags)?,
        None if flags.is_empty() => return Err(usage("nothing says what to train\nhint: --config run.toml")),
        None => RunConfig::from_tables(kind, [flags])?,
    };
    let (steps, what) = (config.steps, if config.adapter.is_some() { "adapter" } else { "model" });
    let mut run = Run::open(config, kind)?;
    for skipped in run.skipped() {
        let (folder, error) = (skipped.folder.display(), &skipped.error);
        eprintln!("warning: checkpoint {folder} is damaged: {error}\nhint: the previous checkpoint is used instead");
    }
    if run.steps_made() > 0 {
        eprintln!("going on after step {}", run.steps_made());
    }
    let bar = ProgressBar::new(steps)
        .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {eta} left")?)
        .with_position(run.steps_made());
    bar.reset_eta();
    let outcome = run.train(interrupt::asked(), |event| {
        if let Event::Step(metrics) = event {
            bar.set_message(format!("loss {:.4}, {:.0} tokens/s", metrics.loss, metrics.tokens_per_second));
            bar.set_position(metrics.step);
        }
    })?;
    bar.finish_and_clear();
    match outcome {
        Outcome::Finished(folder) => {
            eprintln!("{what} in {}", folder.display());
            Ok(())
        }
        Outcome::Stopped(checkpoint) => {
            eprintln!("saved {}\nhint: the same command goes on from there", checkpoint.display());
            Err(Interrupted.into())
        }
    }
}
