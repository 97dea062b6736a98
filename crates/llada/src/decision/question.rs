//! Questions as data, with the names of OpenAI's `/v1/decisions`, and the requests that score their options.

use llada_infer::ScoreRequest;
use llada_model::{Message, Tokenizer};
use serde::Deserialize;

use crate::Error;

/// A question about a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Question {
    /// What the answer is called by.
    pub name: Option<String>,
    /// What is asked, in words.
    pub instructions: String,
    /// The kind of the answer, and the options.
    #[serde(flatten)]
    pub kind: QuestionKind,
}

/// The kinds of questions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum QuestionKind {
    /// Whether something is true. The options are [`Question::PREDICATE_OPTIONS`].
    // With braces, since of a variant without fields serde would ignore unknown ones.
    Predicate {},
    /// Which of several choices holds.
    Choice {
        /// The choices, at least 2.
        choices: Vec<QuestionOption>,
    },
    /// Which of several levels holds, and what they are on average.
    Score {
        /// The levels, at least 2, from the lowest, which has the value 0.
        levels: Vec<QuestionOption>,
    },
}

/// A choice or a level.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenOption")]
pub struct QuestionOption {
    /// The answer, in the words that the model is to say.
    pub value: String,
    /// What it means. If any option has a description, the question ends in a list of the options.
    pub description: Option<String>,
}

/// An option as JSON has it: in full, or its value alone.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "an option is a text, or an object with value (label, of a level) and description"
)]
enum WrittenOption {
    Value(String),
    Full {
        #[serde(alias = "label")]
        value: String,
        description: Option<String>,
    },
}

impl From<WrittenOption> for QuestionOption {
    fn from(written: WrittenOption) -> Self {
        match written {
            WrittenOption::Value(value) => Self { value, description: None },
            WrittenOption::Full { value, description } => Self { value, description },
        }
    }
}

impl From<&str> for QuestionOption {
    fn from(value: &str) -> Self {
        Self { value: value.to_owned(), description: None }
    }
}

impl Question {
    /// What a model says to a predicate that is true, and to one that is not.
    pub const PREDICATE_OPTIONS: [&str; 2] = ["Yes", "No"];

    /// Creates a question without a name.
    pub fn new(instructions: impl Into<String>, kind: QuestionKind) -> Self {
        Self { name: None, instructions: instructions.into(), kind }
    }

    /// Returns the options in the words that the model is to say.
    pub fn options(&self) -> Vec<&str> {
        match &self.kind {
            QuestionKind::Predicate {} => Self::PREDICATE_OPTIONS.to_vec(),
            QuestionKind::Choice { choices: options } | QuestionKind::Score { levels: options } => {
                options.iter().map(|option| option.value.as_str()).collect()
            }
        }
    }

    /// Encodes the question about `input` as requests that score its options, for
    /// [`Engine::score_options`](crate::Engine::score_options). `eos` is the id that answers are padded with.
    ///
    /// # Errors
    /// If there is no chat template, or there are not two different options.
    pub fn encode(&self, input: &str, tokenizer: &Tokenizer, eos: u32) -> Result<Vec<ScoreRequest>, Error> {
        let options = self.options();
        if options.len() < 2 {
            return Err(Error::FewOptions { count: options.len() });
        }
        let asked = Message::new("user", self.message(input));
        let (mut prompt, mut answers) = (Vec::new(), Vec::new());
        for option in &options {
            let turn = tokenizer.encode_turn(&[asked.clone(), Message::new("assistant", *option)])?;
            prompt = turn.prompt;
            answers.push(turn.answer);
        }
        let length = answers.iter().map(Vec::len).max().unwrap_or_default();
        for (index, option) in options.into_iter().enumerate() {
            answers[index].resize(length, eos);
            if answers[..index].contains(&answers[index]) {
                return Err(Error::SameOption { option: option.to_owned() });
            }
        }
        let differs = |&at: &usize| answers.iter().any(|answer| answer[at] != answers[0][at]);
        // Two answers differ somewhere.
        let first = (0..length).find(differs).unwrap_or_default();
        let end = (0..length).rfind(differs).map_or(length, |last| last + 1);
        prompt.extend(&answers[0][..first]);
        let request =
            |answer: &Vec<u32>| ScoreRequest::new(prompt.clone(), &answer[first..end]).with_suffix(&answer[end..]);
        Ok(answers.iter().map(request).collect())
    }

    /// Returns what the user says: the input, the instructions and, if any has a description, the options.
    fn message(&self, input: &str) -> String {
        let mut parts = vec![input.trim(), &self.instructions];
        parts.retain(|part| !part.is_empty());
        let mut message = parts.join("\n\n");
        if let QuestionKind::Choice { choices: options } | QuestionKind::Score { levels: options } = &self.kind
            && options.iter().any(|option| option.description.is_some())
        {
            message.push('\n');
            for QuestionOption { value, description } in options {
                message.extend(["\n- ", value]);
                if let Some(description) = description {
                    message.extend([": ", description]);
                }
            }
        }
        message
    }
}
