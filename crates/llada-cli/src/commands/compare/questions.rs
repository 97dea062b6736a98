//! What both samplers are asked: examples of the tasks or the prompts of a file, with the constraint on compared answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use llada::{Pattern, TokenDfa};
use llada_core::rng::Noise;
use llada_infer::{Request, SamplerConfig};
use llada_model::Message;
use llada_tasks::{ALL, Example, Split, mixture};
use serde::{Deserialize, de::IgnoredAny};

use crate::{exit::usage, file::read_text, session::Session};

/// One of the two samplers.
pub(super) struct Sampler {
    pub(super) config: SamplerConfig,
    pub(super) is_constrained: bool,
}

/// A prompt.
pub(super) struct Question {
    prompt: Vec<u32>,
    /// Where it comes from, in words.
    pub(super) place: String,
    /// The example that checks its answer, if there is one.
    pub(super) example: Option<Example>,
    /// What the answer of a constrained sampler satisfies.
    pub(super) constraint: Option<Arc<TokenDfa>>,
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

/// Returns the requests of a sampler, each with a seed of its own.
pub(super) fn requests(questions: &[Question], sampler: &Sampler) -> Vec<Request> {
    let prompts: Vec<Vec<u32>> = questions.iter().map(|question| question.prompt.clone()).collect();
    let mut requests = Request::for_each(&prompts, &sampler.config);
    if sampler.is_constrained {
        for (request, question) in requests.iter_mut().zip(questions) {
            if let Some(constraint) = &question.constraint {
                *request = request.clone().with_constraint(Arc::clone(constraint));
            }
        }
    }
    requests
}

/// Draws `limit` held-out examples of each task, with the pattern on their answers; if `by_form`, the form that a question
/// prescribes is its pattern, and those without one are left out.
pub(super) fn of_tasks(
    session: &Session,
    limit: u32,
    pattern: Option<&Pattern>,
    by_form: bool,
) -> anyhow::Result<Vec<Question>> {
    let mut questions = Vec::new();
    for (task, example) in mixture(&ALL, Split::HeldOut, Noise::new(0)).take(limit as usize * ALL.len()) {
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
pub(super) fn of_file(session: &Session, path: &Path, pattern: Option<&Pattern>) -> anyhow::Result<Vec<Question>> {
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
