//! The questions of benchmarks, and the judgement of free-form answers.

use serde_json::Value;

/// The style of a free-form question's prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A text to continue, for base models.
    Plain,
    /// A user's message, for chat models.
    Chat,
}

/// The names of metrics with their values, which are between 0 and 1.
pub type Marks = Vec<(&'static str, f64)>;

/// A question of either kind.
#[derive(Debug)]
pub enum Question {
    /// A multiple-choice question.
    Choice(Choice),
    /// A question that is answered with text.
    FreeForm(FreeFormQuestion),
}

impl Question {
    /// Puts few-shot examples before the question, each followed by an empty line.
    #[must_use]
    pub fn after(mut self, shots: &[&str]) -> Self {
        let shots: String = shots.iter().flat_map(|shot| [shot, "\n\n"]).collect();
        match &mut self {
            Self::Choice(choice) => {
                let before = format!("{}{shots}", choice.description);
                for option in &mut choice.options {
                    option.context.insert_str(0, &before);
                }
            }
            Self::FreeForm(question) => question.prompt.insert_str(0, &shots),
        }
        self
    }

    /// Returns the question with its right answer as a few-shot example, or `None` if the record has no worked answer.
    pub(crate) fn worked(&self) -> Option<String> {
        let (prompt, answer) = match self {
            Self::Choice(choice) => {
                let right = choice.options.iter().find(|option| option.right)?;
                (&right.context, &right.continuation)
            }
            Self::FreeForm(question) => (&question.prompt, question.target.as_ref()?),
        };
        Some([prompt.as_str(), answer].concat())
    }

    /// Returns the text before the few-shot examples. Only questions with the same description are examples for each other.
    pub(crate) fn description(&self) -> &str {
        match self {
            Self::Choice(choice) => &choice.description,
            Self::FreeForm(_) => "",
        }
    }
}

/// A multiple-choice question, whose options are compared by their likelihoods.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The text before the few-shot examples.
    pub(crate) description: String,
    /// The options, at least one of which is right.
    pub options: Vec<AnswerOption>,
}

/// An option of a multiple-choice question.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerOption {
    /// The text before the continuation. It is usually the same for all options; in WinoGrande it differs.
    pub context: String,
    /// The text that is scored, including the space before it.
    pub continuation: String,
    /// True if the option is a right answer.
    pub right: bool,
}

impl Choice {
    /// Creates a question of one context with several continuations, of which `gold` is right. A space is put before each.
    pub(crate) fn new(context: String, choices: &[impl AsRef<str>], gold: usize) -> Self {
        let mut options = Vec::with_capacity(choices.len());
        for (index, choice) in choices.iter().enumerate() {
            options.push(AnswerOption::new(context.clone(), choice.as_ref(), index == gold));
        }
        Self { description: String::new(), options }
    }
}

impl AnswerOption {
    pub(crate) fn new(context: String, choice: &str, right: bool) -> Self {
        Self { context, continuation: format!(" {choice}"), right }
    }

    /// Returns the number of characters in the option, without the space before it.
    pub(crate) fn length(&self) -> usize {
        self.continuation.chars().count() - 1
    }
}

/// A question that is answered with text.
pub struct FreeFormQuestion {
    /// The prompt: a text to continue or a user's message, depending on the [`Style`].
    pub prompt: String,
    /// Stop strings: the answer ends before the first of them.
    pub stops: &'static [&'static str],
    /// The id of a coding problem, by which a sandbox that runs the answer knows it.
    pub task_id: Option<Value>,
    /// The answer in a few-shot example, or `None` if the record has no worked answer.
    pub(crate) target: Option<String>,
    pub(crate) rule: Rule,
}

/// A function that judges an answer, which is truncated at the stop strings.
pub(crate) type Rule = Box<dyn Fn(&str) -> Judgement + Send + Sync>;

/// The judgement of a free-form answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The extracted answer; for code, the completion.
    pub answer: Option<String>,
    /// The metrics; empty if only a sandbox can judge the answer.
    pub marks: Marks,
}

impl FreeFormQuestion {
    /// Judges an answer of a model.
    pub fn judge(&self, written: &str) -> Judgement {
        let end = self.stops.iter().filter_map(|stop| written.find(stop)).min().unwrap_or(written.len());
        (self.rule)(&written[..end])
    }
}

impl std::fmt::Debug for FreeFormQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { prompt, target, stops, task_id, .. } = self;
        let mut shown = f.debug_struct("FreeFormQuestion");
        shown.field("prompt", prompt).field("target", target).field("stops", stops).field("task_id", task_id);
        shown.finish_non_exhaustive()
    }
}

/// Returns 1 for a right answer and 0 for a wrong one.
pub(crate) fn mark(right: bool) -> f64 {
    f64::from(u8::from(right))
}
