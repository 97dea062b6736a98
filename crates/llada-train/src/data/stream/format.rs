//! The formats of fine-tuning data: a record of a file as the messages of a conversation.

use llada_model::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The format of the records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// `messages`, each with `role` and `content`.
    Messages,
    /// `conversations`, each with `from`, such as `human` and `gpt`, and `value`.
    Sharegpt,
    /// `instruction`, `input` and `output`; also `context` and `response`, and `system` and `history`, if they are
    /// there.
    Alpaca,
    /// `prompt` and `completion`: texts, or lists of messages.
    PromptCompletion,
}

/// The columns that say what is said. No other is read.
pub(super) const COLUMNS: [&str; 12] = [
    "messages",
    "conversations",
    "instruction",
    "input",
    "context",
    "output",
    "response",
    "system",
    "history",
    "prompt",
    "completion",
    "tools",
];

/// What is said, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    /// The indices of the messages that are answers to learn.
    pub(super) answers: Vec<usize>,
}

/// A record, as the columns that are not null.
type Columns = Map<String, Value>;

impl Format {
    /// The formats with the columns that tell them, which are what a record without any of them is said to lack.
    const ALL: [(Self, &[&str]); 4] = [
        (Self::Messages, &["messages"]),
        (Self::Sharegpt, &["conversations"]),
        (Self::Alpaca, &["instruction"]),
        (Self::PromptCompletion, &["prompt", "completion"]),
    ];

    /// The format of a file with these columns, if it is one of them.
    pub(super) fn of<'a>(columns: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let has = |column: &str| columns.clone().any(|found| found == column);
        Self::ALL.into_iter().find(|(_, needed)| needed.iter().all(|column| has(column))).map(|(format, _)| format)
    }

    /// What is said in `record`.
    ///
    /// # Errors
    /// It is not of this format; the error says why.
    pub(super) fn conversation(self, record: Value) -> Result<Conversation, String> {
        let Value::Object(mut columns) = record else { return Err("not a record, {\"...\": ...}".to_owned()) };
        columns.retain(|_, value| !value.is_null());
        if columns.get("tools").is_some_and(has_tools) {
            return Err("its tools would be lost".to_owned());
        }
        let mut conversation = Conversation { messages: Vec::new(), answers: Vec::new() };
        match self {
            Self::Messages => conversation.add_turns(take(&mut columns, &["messages"])?)?,
            Self::Sharegpt => conversation.add_turns(take(&mut columns, &["conversations"])?)?,
            Self::Alpaca => conversation.add_alpaca(columns)?,
            Self::PromptCompletion => {
                conversation.add_said("user", take(&mut columns, &["prompt"])?)?;
                // Answers that the prompt shows are not learned.
                conversation.answers.clear();
                conversation.add_said("assistant", take(&mut columns, &["completion"])?)?;
            }
        }
        Ok(conversation)
    }
}

/// Whether a column of tools, which some files have as JSON in a text, names any.
fn has_tools(tools: &Value) -> bool {
    match tools {
        Value::Array(tools) => !tools.is_empty(),
        Value::String(tools) => !matches!(tools.trim(), "" | "[]" | "null"),
        _ => false,
    }
}

impl Conversation {
    fn add(&mut self, role: &str, content: impl Into<String>) {
        if role == "assistant" {
            self.answers.push(self.messages.len());
        }
        self.messages.push(Message::new(role, content));
    }

    /// Adds a text, as a message of `role`, or messages.
    fn add_said(&mut self, role: &str, said: Value) -> Result<(), String> {
        match said {
            Value::String(text) => self.add(role, text),
            other => self.add_turns(other)?,
        }
        Ok(())
    }

    fn add_turns(&mut self, turns: Value) -> Result<(), String> {
        let Value::Array(turns) = turns else { return Err("its messages are not a list".to_owned()) };
        for turn in turns {
            self.add_turn(turn)?;
        }
        Ok(())
    }

    /// Adds a message; the assistant's is learned unless its weight is 0.
    fn add_turn(&mut self, turn: Value) -> Result<(), String> {
        let Value::Object(mut keys) = turn else {
            return Err("a message is not a pair of role and content".to_owned());
        };
        keys.retain(|_, value| !value.is_null());
        let weight = keys.remove("weight").map_or(Some(1.0), |weight| weight.as_f64());
        let role = text(&mut keys, &["role", "from"])?;
        let content = text(&mut keys, &["content", "value"])?;
        if let Some((key, _)) = keys.iter().find(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty())) {
            return Err(format!("a message has {key:?}, which would be lost"));
        }
        self.add(known_role(&role), content);
        match weight {
            Some(1.0) => Ok(()),
            Some(0.0) => {
                self.answers.retain(|&answer| answer + 1 < self.messages.len());
                Ok(())
            }
            _ => Err("a message's weight is neither 0 nor 1".to_owned()),
        }
    }

    fn add_alpaca(&mut self, mut columns: Columns) -> Result<(), String> {
        if columns.contains_key("system") {
            let system = text(&mut columns, &["system"])?;
            if !system.is_empty() {
                self.add("system", system);
            }
        }
        if let Some(history) = columns.remove("history") {
            let pairs: Vec<[String; 2]> =
                serde_json::from_value(history).map_err(|error| format!("its history: {error}"))?;
            for [question, answer] in pairs {
                self.add("user", question);
                self.add("assistant", answer);
            }
        }
        let mut question = text(&mut columns, &["instruction"])?;
        let input = if ["input", "context"].iter().any(|column| columns.contains_key(*column)) {
            text(&mut columns, &["input", "context"])?
        } else {
            String::new()
        };
        if !input.is_empty() {
            question = format!("{question}\n{input}");
        }
        self.add("user", question);
        self.add("assistant", text(&mut columns, &["output", "response"])?);
        Ok(())
    }
}

/// The name that chat templates know a role by; ShareGPT has names of its own.
fn known_role(role: &str) -> &str {
    match role {
        "human" => "user",
        "gpt" => "assistant",
        other => other,
    }
}

/// Takes the value of the first of `columns` that is there.
fn take(values: &mut Columns, columns: &[&str]) -> Result<Value, String> {
    let found = columns.iter().find_map(|column| values.remove(*column));
    found.ok_or_else(|| format!("there is no {}", columns.join(" or ")))
}

/// Takes the text in the first of `columns` that is there.
fn text(values: &mut Columns, columns: &[&str]) -> Result<String, String> {
    match take(values, columns)? {
        Value::String(text) => Ok(text),
        _ => Err(format!("its {} is not a text", columns.join(" or "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(record: Value) -> Result<Vec<(String, String, bool)>, String> {
        let columns = record.as_object().unwrap().clone();
        let format = Format::of(columns.keys().map(String::as_str)).ok_or("no format")?;
        let Conversation { messages, answers } = format.conversation(record)?;
        let said = messages.into_iter().enumerate();
        Ok(said.map(|(index, message)| (message.role, message.content, answers.contains(&index))).collect())
    }

    fn turn(role: &str, content: &str, is_learned: bool) -> (String, String, bool) {
        (role.to_owned(), content.to_owned(), is_learned)
    }

    #[test]
    fn every_format_says_the_same() {
        let expected = vec![turn("user", "cat?", false), turn("assistant", "hat", true)];
        for record in [
            json!({"messages": [{"role": "user", "content": "cat?", "name": null},
                {"role": "assistant", "content": "hat", "tool_calls": []}], "id": 7, "tools": null}),
            json!({"conversations": [{"from": "human", "value": "cat?"}, {"from": "gpt", "value": "hat", "weight": 1}]}),
            json!({"conversations": [{"role": "user", "content": "cat?"}, {"role": "assistant", "content": "hat"}]}),
            json!({"instruction": "cat?", "input": "", "output": "hat", "text": "### Instruction: cat?"}),
            json!({"instruction": "cat?", "response": "hat", "category": "animals"}),
            json!({"prompt": "cat?", "completion": "hat"}),
            json!({"prompt": [{"role": "user", "content": "cat?"}],
                "completion": [{"role": "assistant", "content": "hat"}]}),
        ] {
            assert_eq!(read(record.clone()).unwrap(), expected, "{record}");
        }
        let alpaca = json!({"system": "Be brief.", "history": [["a?", "b"]], "instruction": "Sum", "input": "1 2", "output": "3"});
        let said = [
            turn("system", "Be brief.", false),
            turn("user", "a?", false),
            turn("assistant", "b", true),
            turn("user", "Sum\n1 2", false),
            turn("assistant", "3", true),
        ];
        assert_eq!(read(alpaca).unwrap(), said);
        let weighed = json!({"messages": [{"role": "assistant", "content": "a", "weight": 0}, {"role": "assistant", "content": "b"}]});
        assert_eq!(read(weighed).unwrap(), [turn("assistant", "a", false), turn("assistant", "b", true)]);
        let shown = json!({"prompt": [{"role": "assistant", "content": "a"}], "completion": "b"});
        assert_eq!(read(shown).unwrap(), [turn("assistant", "a", false), turn("assistant", "b", true)]);
    }

    #[test]
    fn what_is_of_no_format_says_why() {
        for (record, reason) in [
            (json!({"text": "a"}), "no format"),
            (json!({"messages": "a"}), "not a list"),
            (json!({"messages": [1]}), "not a pair"),
            (json!({"messages": [{"role": "user"}]}), "there is no content or value"),
            (json!({"messages": [{"role": "user", "content": ["a"]}]}), "is not a text"),
            (json!({"messages": [{"role": "user", "content": "a", "tool_calls": [1]}]}), "\"tool_calls\""),
            (json!({"messages": [{"role": "user", "content": "a", "weight": 0.5}]}), "neither 0 nor 1"),
            (json!({"messages": [], "tools": [{}]}), "tools would be lost"),
            (json!({"instruction": "a"}), "there is no output or response"),
            (json!({"instruction": "a", "output": "b", "history": [["c"]]}), "its history"),
            (json!({"prompt": 1, "completion": "b"}), "not a list"),
        ] {
            let error = read(record.clone()).unwrap_err();
            assert!(error.contains(reason), "{record}: {error}");
        }
    }
}
