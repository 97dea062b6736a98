//! What a model is asked, and how what it says is scored.

use serde_json::Value;

/// How a generation task is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text to be continued, as base models are asked.
    Plain,
    /// The user's message of a chat.
    Chat,
}

/// A value for each metric of a task, 0 to 1.
pub type Marks = Vec<(&'static str, f64)>;

/// A question of either kind.
#[derive(Debug)]
pub enum Question {
    /// The likeliest of several options is the answer.
    Choice(Choice),
    /// What the model writes is checked.
    Generation(Generation),
}

impl Question {
    /// The question after the examples `shots`, each followed by an empty line.
    #[must_use]
    pub fn after(mut self, shots: &[&str]) -> Self {
        let shots: String = shots.iter().flat_map(|shot| [shot, "\n\n"]).collect();
        match &mut self {
            Self::Choice(choice) => {
                let before = format!("{}{shots}", choice.description);
                choice.options.iter_mut().for_each(|option| option.context.insert_str(0, &before));
            }
            Self::Generation(generation) => generation.prompt.insert_str(0, &shots),
        }
        self
    }

    /// The question with its right answer, as an example for others, if there can be one.
    pub(crate) fn worked(&self) -> Option<String> {
        let (prompt, answer) = match self {
            Self::Choice(choice) => {
                let right = choice.options.iter().find(|option| option.right)?;
                (&right.context, &right.continuation)
            }
            Self::Generation(generation) => (&generation.prompt, generation.target.as_ref()?),
        };
        Some([prompt.as_str(), answer].concat())
    }

    /// What stands before the shots; questions that differ in it are no examples for each other.
    pub(crate) fn description(&self) -> &str {
        match self {
            Self::Choice(choice) => &choice.description,
            Self::Generation(_) => "",
        }
    }
}

/// A question whose options are compared by their likelihoods.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What stands before the shots.
    pub(crate) description: String,
    /// At least one, and at least one that is right.
    pub options: Vec<Answer>,
}

/// One option: a text, and what it follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the continuation follows: the same for all options, or not, as in WinoGrande.
    pub context: String,
    /// What is scored, the space before it included.
    pub continuation: String,
    /// Whether it is a right answer.
    pub right: bool,
}

impl Choice {
    /// One context with several continuations, of which `gold` is right; a space goes before each.
    pub(crate) fn new(context: String, choices: &[impl AsRef<str>], gold: usize) -> Self {
        let option = |(index, choice): (usize, _)| Answer::new(context.clone(), choice, index == gold);
        let options = choices.iter().map(AsRef::as_ref).enumerate().map(option).collect();
        Self { description: String::new(), options }
    }
}

impl Answer {
    pub(crate) fn new(context: String, choice: &str, right: bool) -> Self {
        Self { context, continuation: format!(" {choice}"), right }
    }

    /// Characters of the option, the space before it not counted.
    pub(crate) fn length(&self) -> usize {
        self.continuation.chars().count() - 1
    }
}

/// A question that is answered in words.
pub struct Generation {
    /// What the answer follows: a text, or a message.
    pub prompt: String,
    /// Where the answer ends: at the first of these texts that occurs in it.
    pub stops: &'static [&'static str],
    /// The id that a sandbox knows the question by, which alone can tell what the answer is worth.
    pub task_id: Option<Value>,
    /// What follows the prompt where the question is an example for others; none if its record does not say.
    pub(crate) target: Option<String>,
    pub(crate) rule: Rule,
}

/// From what was written, cut at the stops, to what counts of it.
pub(crate) type Rule = Box<dyn Fn(&str) -> Judgement + Send + Sync>;

/// What became of an answer in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was read out of the text as the answer; the completion, where it is code.
    pub answer: Option<String>,
    /// Whether it is right; nothing where only a sandbox can tell.
    pub marks: Marks,
}

impl Generation {
    /// Judges what the model wrote.
    pub fn judge(&self, written: &str) -> Judgement {
        let end = self.stops.iter().filter_map(|stop| written.find(stop)).min().unwrap_or(written.len());
        (self.rule)(&written[..end])
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { prompt, target, stops, task_id, .. } = self;
        let mut shown = f.debug_struct("Generation");
        shown.field("prompt", prompt).field("target", target).field("stops", stops).field("task_id", task_id);
        shown.finish_non_exhaustive()
    }
}

/// 1 for what is right and 0 for what is not.
pub(crate) fn mark(right: bool) -> f64 {
    f64::from(u8::from(right))
}
