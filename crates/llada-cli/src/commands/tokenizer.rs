//! `llada tokenizer train`: training of a tokenizer.

use std::path::PathBuf;

use llada_train::{data::prepare, tokenizer};

use super::data::Format;

/// Train a tokenizer
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Train(Args),
}

/// Learn a vocabulary: byte-level BPE, digits one by one, LLaDA's special tokens
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada tokenizer train --input book.txt --vocab-size 4096 --out tokenizer")]
pub(crate) struct Args {
    /// Files to learn from, or folders of them; all of their text is held in memory
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    input: Vec<PathBuf>,

    /// What the files are
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Tokens to learn, bytes and special tokens among them
    #[arg(long, value_name = "N", default_value_t = 4096)]
    vocab_size: usize,

    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Train(args) = command;
    let format = args.format.into();
    let texts = prepare::texts(&prepare::inputs(&args.input, format)?, format)?;
    tokenizer::train(texts.iter(), args.vocab_size, &args.out)?;
    eprintln!("tokenizer in {}", args.out.display());
    Ok(())
}
