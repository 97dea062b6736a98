//! `llada eval`: benchmarks. A subcommand a task of `llada-eval`, and `tiny`.

mod answers;
mod args;
mod choices;
mod job;
mod report;
mod tiny;

use clap::{ArgMatches, Args, FromArgMatches, error::ErrorKind};
use llada_eval::{Kind, TASKS, Task, by_name};

use args::{AnswerArgs, ChoiceArgs};

const TINY: &str = "tiny";

/// What is measured, and how.
pub(crate) enum Command {
    Tiny(Box<tiny::Args>),
    Choices(&'static Task, Box<ChoiceArgs>),
    Answers(&'static Task, Box<AnswerArgs>),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Tiny(args) => tiny::run(*args),
        Command::Choices(task, args) => choices::run(task, &args),
        Command::Answers(task, args) => answers::run(task, &args),
    }
}

/// Written out, where `derive` would need every task's name and line a second time.
impl clap::Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let command = command.about("Measure a model").subcommand_required(true).arg_required_else_help(true);
        let tiny = tiny::Args::augment_args(clap::Command::new(TINY));
        TASKS.into_iter().map(subcommand).fold(command.subcommand(tiny), clap::Command::subcommand)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == TINY || by_name(name).is_some()
    }
}

fn subcommand(task: &'static Task) -> clap::Command {
    let command = clap::Command::new(task.name);
    let command = match task.kind {
        Kind::Choice { .. } => ChoiceArgs::augment_args(command),
        Kind::Generation { .. } => AnswerArgs::augment_args(command),
    };
    let example = match task.kind {
        Kind::Choice { .. } => "--preset base --limit 100 --out samples.jsonl",
        Kind::Generation { .. } => "--preset instruct --limit 100 --out samples.jsonl",
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
        let task = by_name(name).ok_or_else(missing)?;
        Ok(match task.kind {
            Kind::Choice { .. } => Self::Choices(task, Box::new(ChoiceArgs::from_arg_matches(matches)?)),
            Kind::Generation { .. } => Self::Answers(task, Box::new(AnswerArgs::from_arg_matches(matches)?)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
