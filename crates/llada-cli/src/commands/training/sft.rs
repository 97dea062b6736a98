//! `llada sft`: fine-tuning on prompts and answers.

use llada_train::config::{DataPart, Training};
use serde::Serialize;

use super::{RunFile, RunKeys, data_key, dry_run};

/// Fine-tune a model on conversations
///
/// The data is a file of conversations, a folder of such files, or a folder as Hugging Face's datasets have it, in JSON
/// or parquet, read while the run lasts; or a dataset of `llada data prepare`. Records are recognised by their columns:
/// messages; conversations (ShareGPT); instruction, input, output (Alpaca); prompt, completion.
///
/// Ctrl-C saves and ends; the same command goes on from the last checkpoint, bit for bit. At the end `OUT/model` is a
/// checkpoint for `llada generate`, or `OUT/adapter` an adapter for its `--adapter`, if a key of [adapter] is given.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a run file:
  out = "sft"
  data = "chats.jsonl"
  init = "run/model"
  steps = 500
  sft = { turns = "all", padding = "one_eos" }
  adapter = { r = 16, lora_alpha = 32 }
  base_dtype = "nf4""#)]
pub(crate) struct Args {
    /// Show the first batch as text, with what may be masked and what is, and count the records; train nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    file: RunFile,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args, Serialize)]
struct Keys {
    /// Conversations, in a file or a folder, or a prepared dataset; several with their shares of the rows, as in --data
    /// A=0.7 --data B=0.3, in a run file [{ path = "A", weight = 0.7 }, ...]
    #[arg(long, value_name = "PATH[=WEIGHT]", value_parser = data_key::part, help_heading = "Keys of the run file")]
    #[serde(serialize_with = "data_key::data", skip_serializing_if = "Vec::is_empty")]
    data: Vec<DataPart>,
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
    #[command(flatten)]
    sft: SftKeys,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [sft]")]
struct SftKeys {
    /// What follows an answer and is learned: answer, end-of-text to the longest row; one_eos; or none [default:
    /// answer]
    #[arg(long, value_name = "NAME")]
    padding: Option<String>,
    /// Answers of a conversation that are learned: last, all at once, or sampled, one in each epoch [default: sampled]
    #[arg(long, value_name = "NAME")]
    turns: Option<String>,
    /// What counts alike: every answer with sequence, every token with token; batch divides by rows alone [default:
    /// sequence]
    #[arg(long, value_name = "NAME")]
    normalisation: Option<String>,
    /// Weight of a masked token: scheduler, one over the mask's probability, or uniform [default: scheduler]
    #[arg(long, value_name = "NAME")]
    loss_weight: Option<String>,
    /// Every row twice, the second time with the complement of its mask [default: false]
    #[arg(long, value_name = "BOOL")]
    complementary: Option<bool>,
    /// messages, sharegpt, alpaca or prompt_completion [default: found in each file]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Split of a folder that has several [default: train]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Configuration of a Hugging Face dataset [default: its default]
    #[arg(long, value_name = "NAME")]
    config_name: Option<String>,
    /// Longest record, in tokens; longer ones are left out [default: the model's max_sequence_length]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Shortest answer, in tokens, filled up with end-of-text: the gen_length that will be asked for [default: 1]
    #[arg(long, value_name = "N")]
    answer_length: Option<usize>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.dry_run {
        return dry_run::run(&args.file.load(&args.keys, Training::Sft)?);
    }
    super::run(&args.file, &args.keys, Training::Sft)
}
