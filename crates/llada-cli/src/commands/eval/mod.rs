//! `llada eval`: a subcommand for each benchmark of `llada-eval`, and `tiny`.

mod answers;
mod args;
mod choices;
mod job;
mod published;
mod report;
mod tiny;

use clap::{ArgMatches, Args, FromArgMatches, error::ErrorKind};
use llada_eval::{BENCHMARKS, Benchmark, TaskKind};

use args::{AnswerArgs, ChoiceArgs};

const TINY: &str = "tiny";

/// A benchmark with its arguments.
pub(crate) enum Command {
    Tiny(Box<tiny::Args>),
    Choices(&'static Benchmark, Box<ChoiceArgs>),
    Answers(&'static Benchmark, Box<AnswerArgs>),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Tiny(args) => tiny::run(*args),
        Command::Choices(task, args) => choices::run(task, &args),
        Command::Answers(task, args) => answers::run(task, &args),
    }
}

/// The implementation is written out because `derive` would need the name and the description of every benchmark again.
impl clap::Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let command = command.about("Measure a model").subcommand_required(true).arg_required_else_help(true);
        let tiny = tiny::Args::augment_args(clap::Command::new(TINY));
        BENCHMARKS.into_iter().map(subcommand).fold(command.subcommand(tiny), clap::Command::subcommand)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == TINY || Benchmark::by_name(name).is_some()
    }
}

fn subcommand(task: &'static Benchmark) -> clap::Command {
    let command = clap::Command::new(task.name);
    let command = match task.kind {
        TaskKind::Choice { .. } => ChoiceArgs::augment_args(command),
        TaskKind::FreeForm { .. } => AnswerArgs::augment_args(command),
    };
    let example = match task.kind {
        TaskKind::Choice { .. } => "--settings-of base --limit 100 --out samples.jsonl",
        TaskKind::FreeForm { .. } => "--settings-of instruct --limit 100 --out samples.jsonl",
    };
    let data =
        format!("Data: {}.\n\nExample:\n  llada eval {} --data FILE --model DIR {example}", task.data, task.name);
    command.about(task.about).after_help(data)
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        if name == TINY {
            return Ok(Self::Tiny(Box::new(tiny::Args::from_arg_matches(matches)?)));
        }
        let task = Benchmark::by_name(name).ok_or_else(missing)?;
        Ok(match task.kind {
            TaskKind::Choice { .. } => Self::Choices(task, Box::new(ChoiceArgs::from_arg_matches(matches)?)),
            TaskKind::FreeForm { .. } => Self::Answers(task, Box::new(AnswerArgs::from_arg_matches(matches)?)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
