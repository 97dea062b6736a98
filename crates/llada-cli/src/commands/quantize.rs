//! `llada quantize`: conversion of a checkpoint to linear layers in eight bits.

use std::path::PathBuf;

use crate::shards::{size, with_progress};

/// Store a model's linear layers in eight bits
///
/// The new folder is half the size of bf16 and loads faster; `--dtype int8` computes the same from the model itself.
/// What the eight bits cost, `llada compare` and `llada eval` tell.
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada quantize --model llada-8b-instruct --out llada-8b-instruct-int8
  llada generate --model llada-8b-instruct-int8 --chat 'Hello!'")]
pub(crate) struct Args {
    /// Folder of the model, or the name of one that was fetched
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,

    /// Folder to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = llada_hub::checkpoint(&args.model)?;
    with_progress(|progress| llada_model::quantize(&folder, &args.out, progress))?;
    println!("{} -> {}", size(&folder)?, size(&args.out)?);
    Ok(())
}
