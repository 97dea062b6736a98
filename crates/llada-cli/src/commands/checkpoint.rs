//! `llada checkpoint`: checkpoints of runs by several processes.

use std::path::PathBuf;

use llada_train::checkpoint;

use crate::shards::with_progress;

/// Work on checkpoints of training
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Merge(MergeArgs),
}

/// Write a checkpoint in slices as one whole
///
/// Processes that divide the state of a run among them (`--shard`) write what they have in files of their own. A run goes on
/// from these by any number of processes; this is for programs that read whole tensors. The new folder is the checkpoint
/// that one process would have written. No more than some rows are in memory at once.
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada launch --nproc 2 -- pretrain --config run.toml --shard optimizer
  llada checkpoint merge run/checkpoints/step-00000500 --out whole")]
pub(crate) struct MergeArgs {
    /// Folder of the checkpoint
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,

    /// Folder to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Merge(MergeArgs { checkpoint, out }) = command;
    with_progress(|progress| checkpoint::merge(&checkpoint, &out, progress))?;
    println!("{} -> {}", checkpoint.display(), out.display());
    Ok(())
}
