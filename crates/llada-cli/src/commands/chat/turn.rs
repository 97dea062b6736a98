//! A turn of a chat: the answer to a message, or what a command asks for.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    slice,
    time::{Duration, Instant},
};

use llada_infer::{InferError, Request};
use llada_model::Message;

use super::{
    command::{Command, HELP},
    conversation::Conversation,
    saved,
    settings::{Settings, command},
};
use crate::{
    exit::{hinted, usage},
    interrupt,
    report::Report,
    session::Session,
    watch::Watch,
};

/// A chat with an open model.
pub(super) struct Chat {
    pub(super) session: Session,
    pub(super) settings: Settings,
    pub(super) conversation: Conversation,
    pub(super) is_watched: bool,
}

impl Chat {
    /// Checks settings against the model, before there is anything to answer, and prints what they lack.
    pub(super) fn check(&self, settings: &Settings) -> anyhow::Result<()> {
        let request = Request::new(Vec::new(), settings.config().clone());
        self.session.model.engine().validate(&request)?;
        self.session.warn_about(settings.config());
        Ok(())
    }

    /// Does what a command asks for.
    pub(super) fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::System(text) => self.conversation.set_system(text),
            Command::Show => eprintln!("{}", self.settings.shown()?),
            Command::Set(changes) => {
                let settings = self.settings.with(changes)?;
                self.check(&settings)?;
                self.settings = settings;
            }
            Command::Undo => match self.conversation.undo() {
                Some(said) => eprintln!("taken back: {said}"),
                None => return Err(usage("there is nothing to take back\nhint: /help lists the commands")),
            },
            Command::Reset => self.conversation.reset(),
            Command::Save(path) => {
                saved::save(&path, &self.conversation, &self.settings)?;
                self.tell_length(&path);
            }
            Command::Load(path) => {
                let (conversation, settings) = saved::load(&path, &self.settings)?;
                self.check(&settings)?;
                (self.conversation, self.settings) = (conversation, settings);
                self.tell_length(&path);
            }
            Command::Watch(is_watched) => self.is_watched = is_watched,
            Command::Help => eprintln!("{HELP}"),
            Command::Quit => {}
        }
        Ok(())
    }

    fn tell_length(&self, path: &Path) {
        eprintln!("{} messages in {}", self.conversation.messages().len(), path.display());
    }

    /// Answers what the user says, and remembers both. If the answer is interrupted or fails, both are forgotten.
    pub(super) fn answer(&mut self, text: String) -> anyhow::Result<()> {
        let said = Message::new("user", text);
        let messages = [self.conversation.messages(), vec![said.clone()]].concat();
        let tokenizer = self.session.model.tokenizer()?.clone();
        let request = Request::new(tokenizer.encode_chat(&messages)?, self.settings.config().clone());
        self.session.model.engine().validate(&request).map_err(shorten)?;
        let mask_id = self.session.model.mask_id();
        let mut watch = self.is_watched.then(|| Watch::new(Some(&tokenizer), mask_id, &request).of_answer());
        let engine = self.session.model.engine_mut();
        let start = Instant::now();
        let generated = interrupt::shielded(|| {
            engine.generate_batch(slice::from_ref(&request), |progress| {
                if let Some(watch) = &mut watch {
                    watch.show(progress);
                }
                interrupt::check()
            })
        });
        let paused = watch.as_ref().map_or(Duration::ZERO, |watch| watch.paused);
        let seconds = (start.elapsed() - paused).as_secs_f64();
        if let Some(watch) = watch {
            watch.clear();
        }
        if let Err(InferError::Interrupted) = generated {
            eprintln!("stopped; the message is forgotten");
            return Ok(());
        }
        for generation in generated? {
            let cost = Report::new(&self.session, &generation, &[], seconds)?.cost();
            let answer = self.session.model.answer(generation)?.text;
            println!("{answer}");
            if stderr().is_terminal() || self.is_watched {
                eprintln!("{cost}");
            }
            self.conversation.add(said.clone(), answer);
        }
        Ok(())
    }
}

/// Says how a conversation that has become too long can go on.
fn shorten(error: InferError) -> anyhow::Error {
    let InferError::TooLong { prompt, max_sequence_length, .. } = error else { return error.into() };
    let shorter = "/undo or /reset for a shorter conversation";
    match max_sequence_length.saturating_sub(prompt) {
        0 => hinted(&error, shorter),
        room => {
            let most = command("gen_length", &room.to_string());
            hinted(&error, &format!("{most} is the most that fits, or {shorter}"))
        }
    }
}
