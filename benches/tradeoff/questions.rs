//! What is asked: held-out examples of the tasks, or prompts of one's own.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use llada::{Message, Tokenizer};
use llada_core::rng::Noise;
use llada_tasks::{ALL, Example, Split, mixture};
use serde::Deserialize;

/// A question, and how its answer is checked.
pub(crate) struct Question {
    pub(crate) task: &'static str,
    pub(crate) prompt: Vec<u32>,
    right: Right,
}

enum Right {
    Checked(Example),
    Contains(String),
}

/// A line of a file of prompts.
#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    asked: Asked,
    answer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Prompt(String),
    Messages(Vec<Message>),
}

impl Question {
    pub(crate) fn is_right(&self, answer: &str) -> bool {
        match &self.right {
            Right::Checked(example) => example.check(answer),
            Right::Contains(right) => answer.contains(right.as_str()),
        }
    }
}

/// So many held-out examples of each task.
pub(crate) fn of_tasks(tokenizer: &Tokenizer, limit: usize, seed: u64) -> anyhow::Result<Vec<Question>> {
    let examples = mixture(&ALL, Split::HeldOut, Noise::new(seed)).take(limit * ALL.len());
    examples
        .map(|(task, example)| {
            let prompt = tokenizer.encode_chat(&[Message::new("user", &example.prompt)])?;
            Ok(Question { task: task.name(), prompt, right: Right::Checked(example) })
        })
        .collect()
}

/// The first `limit` lines of a file: each has a `prompt` or `messages`, and the `answer`, which a right one contains.
pub(crate) fn of_file(tokenizer: &Tokenizer, path: &Path, limit: usize) -> anyhow::Result<Vec<Question>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let question = |(index, line): (usize, &str)| {
        let line = serde_json::from_str(line).map_err(|e| {
            let form = r#"each line is {"prompt": "...", "answer": "..."} or {"messages": [...], "answer": "..."}"#;
            anyhow::anyhow!("{}:{}: {e}\nhint: {form}", path.display(), index + 1)
        });
        let Line { asked, answer } = line?;
        let prompt = match asked {
            Asked::Prompt(prompt) => tokenizer.encode(&prompt)?,
            Asked::Messages(messages) => tokenizer.encode_chat(&messages)?,
        };
        Ok(Question { task: "prompts", prompt, right: Right::Contains(answer) })
    };
    let questions = lines.take(limit).map(question).collect::<anyhow::Result<Vec<_>>>()?;
    if questions.is_empty() {
        bail!("{} has no prompts", path.display());
    }
    Ok(questions)
}
