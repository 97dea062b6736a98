//! `llada chat`: a conversation in the terminal, or over pipes.
//!
//! Answers go to standard output, all else to standard error. What goes wrong in a turn leaves the conversation as it was.

mod command;
mod conversation;
mod lines;
mod saved;
mod settings;
mod turn;

use crate::{
    args::{GraphArgs, ModelArgs, SamplerArgs},
    exit::{message, usage},
    interrupt,
    session::Session,
};
use command::{Command, Input};
use conversation::Conversation;
use lines::Lines;
use settings::Settings;
use turn::Chat;

/// Chat with a model, a line a message
///
/// The model reads all of the conversation each time, in its chat template. A line that begins with a slash is a
/// command. Without a terminal lines are read from standard input up to its end, and answers are all that standard
/// output gets.
#[derive(clap::Args)]
#[command(after_help = command::HELP)]
pub(crate) struct Args {
    /// What the system says before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    #[command(flatten)]
    sampler: SamplerArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,

    /// Show the denoising step by step, masks turning into tokens
    #[arg(long, help_heading = "Output")]
    watch: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let settings = Settings::new(args.sampler.into_typed(), args.model.algorithm()?)?;
    let session = Session::open_for_answers(&args.model, &args.graphs)?;
    if let Some(problem) = session.model.tokenizer()?.chat_problem() {
        let model = args.model.model.display();
        return Err(usage(format!("{model}: {problem}\nhint: llada generate --prompt TEXT continues a text")));
    }
    interrupt::end_when_terminated()?;
    let conversation = Conversation::new(args.system);
    let mut chat = Chat { session, settings, conversation, is_watched: args.watch };
    chat.check(&chat.settings)?;
    let mut lines = Lines::open()?;
    while let Some(line) = lines.next()? {
        let done = match Input::parse(&line) {
            Ok(Input::Nothing) => Ok(()),
            Ok(Input::Command(Command::Quit)) => break,
            Ok(Input::Command(command)) => chat.obey(command),
            Ok(Input::Message(text)) => chat.answer(text),
            Err(refusal) => Err(usage(refusal)),
        };
        if let Err(error) = done {
            eprintln!("error: {}", message(&error, settings::command));
        }
    }
    chat.session.note_graphs();
    Ok(())
}
