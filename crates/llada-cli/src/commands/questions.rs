//! What a sampler is asked: examples of the tasks, or the prompts of a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use llada::{Pattern, TokenDfa};
use llada_core::rng::Noise;
use llada_model::Message;
use llada_tasks::{ALL, Example, Split, mixture};
use serde::{Deserialize, de::IgnoredAny};

use crate::{exit::usage, file::read_text, session::Session};

/// A prompt.
pub(crate) struct Question {
    pub(crate) prompt: Vec<u32>,
    /// Where it comes from, in words.
    pub(crate) place: String,
    /// The example that checks its answer, if there is one.
    pub(crate) example: Option<Example>,
    /// What a constrained answer satisfies.
    pub(crate) constraint: Option<Arc<TokenDfa>>,
}

/// A line of a file of prompts.
#[derive(Deserialize)]
struct Line {
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    /// Keys that are not read.
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// Draws `limit` examples of each task, with the pattern on their answers; if `by_form`, the form that a question
/// prescribes is its pattern, and those without one are left out.
pub(crate) fn of_tasks(
    session: &Session,
    split: Split,
    limit: u32,
    pattern: Option<&Pattern>,
    by_form: bool,
) -> anyhow::Result<Vec<Question>> {
    let mut questions = Vec::new();
    for (task, example) in mixture(&ALL, split, Noise::new(0)).take(limit as usize * ALL.len()) {
        let form = example.form.as_deref().map(Pattern::regex);
        let pattern = if by_form { form.as_ref() } else { pattern };
        if by_form && pattern.is_none() {
            continue;
        }
        questions.push(Question {
            prompt: session.model.tokenizer()?.encode_chat(&[Message::new("user", &example.prompt)])?,
            place: format!("task {}", task.name()),
            constraint: pattern.map(|pattern| session.model.compile(pattern)).transpose()?,
            example: Some(example),
        });
    }
    Ok(questions)
}

/// Reads the prompts of a file, one a line.
pub(crate) fn of_file(session: &Session, path: &Path, pattern: Option<&Pattern>) -> anyhow::Result<Vec<Question>> {
    let constraint = pattern.map(|pattern| session.model.compile(pattern)).transpose()?;
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut unread = BTreeSet::new();
    let mut questions = Vec::new();
    for (index, line) in lines {
        let place = format!("{}:{}", path.display(), index + 1);
        let refuse = |message: &str| usage(format!("{place}: {message}"));
        let line: Line = serde_json::from_str(line).map_err(|e| refuse(&e.to_string()))?;
        unread.extend(line.others.into_keys());
        let prompt = match (line.prompt, line.messages) {
            (Some(prompt), None) => session.model.tokenizer()?.encode(&prompt)?,
            (None, Some(messages)) => {
                let before = messages.iter().position(|message| message.role == "assistant").unwrap_or(messages.len());
                session.model.tokenizer()?.encode_chat(&messages[..before])?
            }
            _ => return Err(refuse("a line has exactly one of prompt and messages")),
        };
        questions.push(Question { prompt, place, example: None, constraint: constraint.clone() });
    }
    if !unread.is_empty() {
        let unread = unread.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!("warning: {}: not read: {unread}; options come from the command line", path.display());
    }
    if questions.is_empty() {
        return Err(usage(format!("{} has no prompts\nhint: each line is {{\"prompt\": \"...\"}}", path.display())));
    }
    Ok(questions)
}
