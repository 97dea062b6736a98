//! `llada tasks generate`: examples of the checkable tasks, as chats for training.

use std::{io::Write, path::PathBuf};

use llada_core::rng::Noise;
use llada_tasks::{ALL, Split, SyntheticTask};

use crate::{args::with_hint, file::write_whole};

/// Generate tasks whose answers a program can check
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Generate(Args),
}

/// Write examples of the tasks as chat JSONL, for `llada data prepare --format chat`
///
/// The same seed gives the same examples. What is held out is disjoint from training, whatever the seeds.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  llada tasks generate --seed 1 --count 100000 --out train.jsonl
  llada tasks generate --count 200 --task sudoku --split held-out --out sudoku.jsonl")]
pub(crate) struct Args {
    /// Seed of the examples
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Examples to write
    #[arg(long, value_name = "N")]
    count: usize,

    /// The one task to write [default: all of them, taking turns]
    #[arg(long, value_name = "NAME", value_parser = task)]
    task: Option<&'static dyn SyntheticTask>,

    /// What the examples are for
    #[arg(long, value_enum, default_value = "train")]
    split: SplitArg,

    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SplitArg {
    /// Training
    Train,
    /// Evaluation
    HeldOut,
}

impl From<SplitArg> for Split {
    fn from(split: SplitArg) -> Self {
        match split {
            SplitArg::Train => Self::Train,
            SplitArg::HeldOut => Self::HeldOut,
        }
    }
}

/// Parses the name of a task.
fn task(name: &str) -> Result<&'static dyn SyntheticTask, String> {
    llada_tasks::by_name(name).map_err(|error| with_hint(&error, error.hint()))
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Generate(args) = command;
    let tasks = args.task.map_or_else(|| ALL.to_vec(), |task| vec![task]);
    let examples = llada_tasks::mixture(&tasks, args.split.into(), Noise::new(args.seed)).take(args.count);
    write_whole(&args.out, |file| {
        let mut lines = std::io::BufWriter::new(file);
        for (task, example) in examples {
            serde_json::to_writer(&mut lines, &example.conversation(task.name()))?;
            lines.write_all(b"\n")?;
        }
        Ok(lines.flush()?)
    })?;
    eprintln!("{} examples in {}", args.count, args.out.display());
    Ok(())
}
