//! `llada quantize`: conversion of a checkpoint to linear layers in eight bits.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use crate::{exit::Interrupted, interrupt};

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
    // The bar is hidden if standard error is not a terminal.
    let bar = ProgressBar::new(0).with_message("shards");
    llada_model::quantize(&folder, &args.out, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        if interrupt::check().is_break() { Err(anyhow::Error::from(Interrupted)) } else { Ok(()) }
    })?;
    bar.finish_and_clear();
    println!("{} -> {}", size(&folder)?, size(&args.out)?);
    Ok(())
}

/// Returns the folder and the size of its weights, as text.
pub(super) fn size(folder: &Path) -> anyhow::Result<String> {
    let bytes = llada_model::Weights::open(folder)?.file_bytes();
    Ok(format!("{} ({:.1} MB)", folder.display(), bytes as f64 / 1e6))
}
