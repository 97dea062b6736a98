//! The lines of a chat: messages, and commands that begin with a slash.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// What `/help` and `llada chat --help` say about commands.
pub(super) const HELP: &str = "In a chat:
  /system TEXT    What the system says from now on; nothing, without TEXT
  /set steps 64   Set options of the sampler, named as their flags; `default` takes
                  one back. Without a name, list them
  /undo           Take back the last message and its answer
  /reset          Begin anew; what the system says and the settings stay
  /save FILE      Write the conversation and the settings to FILE, as a request
                  of `llada batch`
  /load FILE      Go on from such a file
  /watch on|off   Show the denoising step by step, or not
  /help           Show this
  /quit           End the chat, as Ctrl-D does

A space before the slash makes a message of the line. Ctrl-C stops an answer, which
is discarded together with its message; twice at the prompt it ends the chat.";

/// A line of a chat.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    /// An empty line.
    Nothing,
    Message(String),
    Command(Command),
}

#[derive(Debug, PartialEq)]
pub(super) enum Command {
    System(Option<String>),
    Show,
    /// Options by name. Null stands for the default.
    Set(Map<String, Value>),
    Undo,
    Reset,
    Save(PathBuf),
    Load(PathBuf),
    Watch(bool),
    Help,
    Quit,
}

impl Input {
    /// Reads a line.
    ///
    /// # Errors
    /// If it begins with a slash and is no command, in words that end in a hint.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let text = line.trim();
        match line.strip_prefix('/') {
            Some(command) => Command::parse(command.trim()).map(Self::Command),
            None if text.is_empty() => Ok(Self::Nothing),
            None => Ok(Self::Message(text.to_owned())),
        }
    }
}

impl Command {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        Ok(match (name, rest) {
            ("system", "") => Self::System(None),
            ("system", text) => Self::System(Some(text.to_owned())),
            ("set", "") => Self::Show,
            ("set", pairs) => Self::Set(options(pairs)?),
            ("undo", "") => Self::Undo,
            ("reset", "") => Self::Reset,
            ("save" | "load", "") => return Err(format!("/{name} has no file\nhint: /{name} chat.json")),
            ("save", path) => Self::Save(path.into()),
            ("load", path) => Self::Load(path.into()),
            ("watch", "on") => Self::Watch(true),
            ("watch", "off") => Self::Watch(false),
            ("watch", other) => return Err(format!("/watch {other:?} is neither on nor off\nhint: /watch on")),
            ("help", "") => Self::Help,
            ("quit", "") => Self::Quit,
            ("undo" | "reset" | "help" | "quit", more) => {
                return Err(format!("/{name} takes nothing after it, not {more:?}\nhint: /{name}"));
            }
            _ => {
                let hint = "/help lists the commands; a space before the slash makes a message of the line";
                return Err(format!("there is no command /{name}\nhint: {hint}"));
            }
        })
    }
}

/// Reads pairs of names and values.
fn options(pairs: &str) -> Result<Map<String, Value>, String> {
    let mut options = Map::new();
    let mut words = pairs.split_whitespace();
    while let Some(name) = words.next() {
        let option = name.trim_start_matches('-').replace('-', "_");
        let Some(text) = words.next() else {
            return Err(format!("{option} has no value\nhint: /set {option} default takes it back"));
        };
        options.insert(option, value(text));
    }
    Ok(options)
}

/// A value as JSON has it, a list of numbers as flags have it, or else a name.
fn value(text: &str) -> Value {
    let list = || serde_json::from_str(&format!("[{text}]"));
    match text {
        "default" => Value::Null,
        _ => serde_json::from_str(text).or_else(|_| list()).unwrap_or_else(|_| text.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_messages_unless_they_begin_with_a_slash() {
        assert_eq!(Input::parse("  \t"), Ok(Input::Nothing));
        assert_eq!(Input::parse(" /etc is a folder "), Ok(Input::Message("/etc is a folder".to_owned())));
        assert_eq!(
            Input::parse("/system  Be brief. "),
            Ok(Input::Command(Command::System(Some("Be brief.".to_owned()))))
        );
        assert_eq!(Input::parse("/save a file"), Ok(Input::Command(Command::Save("a file".into()))));
        assert_eq!(Input::parse("/set"), Ok(Input::Command(Command::Show)));
    }

    #[test]
    fn options_are_named_as_flags_are_with_values_of_their_kind() {
        let Ok(Input::Command(Command::Set(options))) = Input::parse(
            "/set gen_length 64 --block-length 32 decoder wino stop_at_eos true end_think_token_ids 1,2 steps default",
        ) else {
            panic!("a command");
        };
        let expected = json!({"gen_length": 64, "block_length": 32, "decoder": "wino", "stop_at_eos": true,
                              "end_think_token_ids": [1, 2], "steps": null});
        assert_eq!(Value::Object(options), expected);
    }

    #[test]
    fn what_is_no_command_is_named_with_a_remedy() {
        for (line, message, hint) in [
            ("/sett steps 64", "there is no command /sett", "/help"),
            ("/", "there is no command /", "/help"),
            ("/set steps", "steps has no value", "/set steps default"),
            ("/watch maybe", "/watch \"maybe\" is neither on nor off", "/watch on"),
            ("/undo twice", "/undo takes nothing after it, not \"twice\"", "/undo"),
            ("/load", "/load has no file", "/load chat.json"),
        ] {
            let error = Input::parse(line).unwrap_err();
            let (first, second) = error.split_once("\nhint: ").unwrap();
            assert_eq!(first, message);
            assert!(second.starts_with(hint), "{second}");
        }
    }
}
