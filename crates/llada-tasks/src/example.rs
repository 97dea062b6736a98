//! Examples: questions with their answers and the rules that judge answers.

use serde::Serialize;

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The canonical content of the question. Questions that differ only in wording or in an irrelevant order have the
    /// same content.
    pub content: String,
    /// The user's message.
    pub prompt: String,
    /// A right answer.
    pub answer: String,
    /// A regular expression of the answers that have the right form, right or not, if the question prescribes a form. It
    /// matches whole answers.
    pub form: Option<String>,
    rule: Rule,
}

/// The rule that judges answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Only the example's answer is right.
    Exact,
    /// The example's answer and this one are right.
    Or(String),
    /// Each of these is right.
    OneOf(&'static [String]),
    /// Every text that has at least two sentences, ends with a full stop and contains all of these words is right.
    Story(Vec<String>),
}

impl Example {
    /// Creates a question with one right answer.
    pub(crate) fn new(content: String, prompt: String, answer: String) -> Self {
        Self { content, prompt, answer, form: None, rule: Rule::Exact }
    }

    /// Adds the form of answers.
    pub(crate) fn of_form(self, form: String) -> Self {
        Self { form: Some(form), ..self }
    }

    /// Adds a second right answer.
    pub(crate) fn or(self, other: String) -> Self {
        Self { rule: Rule::Or(other), ..self }
    }

    /// Makes each of `answers` right, and nothing else.
    pub(crate) fn one_of(self, answers: &'static [String]) -> Self {
        Self { rule: Rule::OneOf(answers), ..self }
    }

    /// Makes every story right that contains all of `words`.
    pub(crate) fn story_with(self, words: &[&str]) -> Self {
        Self { rule: Rule::Story(words.iter().map(|&word| word.to_owned()).collect()), ..self }
    }

    /// Returns true if `output`, without surrounding white space, is a right answer.
    pub fn check(&self, output: &str) -> bool {
        let output = output.trim();
        match &self.rule {
            Rule::Exact => output == self.answer,
            Rule::Or(other) => output == self.answer || output == other,
            Rule::OneOf(answers) => answers.iter().any(|answer| output == answer),
            Rule::Story(words) => {
                output.ends_with('.')
                    && output.matches('.').count() > 1
                    && words.iter().all(|word| has_word(output, word))
            }
        }
    }

    /// Returns the question and its answer as a conversation, the format of chat data for fine-tuning.
    pub fn conversation<'a>(&'a self, task: &'a str) -> Conversation<'a> {
        let messages =
            [Message { role: "user", content: &self.prompt }, Message { role: "assistant", content: &self.answer }];
        Conversation { task, messages }
    }
}

/// Returns true if `text` contains `word` as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|found| found == word)
}

/// A conversation, which serialises as a line of chat JSONL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation<'a> {
    /// The name of the task.
    pub task: &'a str,
    /// The question, followed by the answer.
    pub messages: [Message<'a>; 2],
}

/// A message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Message<'a> {
    /// The role of the speaker: `user` or `assistant`.
    pub role: &'static str,
    /// The text of the message.
    pub content: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Example {
        Example::new("1+2".to_owned(), "1 + 2 = ?".to_owned(), "3".to_owned())
    }

    #[test]
    fn rules_decide_what_is_right() {
        let or = example().or("three".to_owned());
        let story = example().story_with(&["fox", "lamp"]);
        for (example, output, expected) in [
            (&example(), " 3\n", true),
            (&example(), "3.", false),
            (&example(), "three", false),
            (&or, "3", true),
            (&or, "three", true),
            (&or, "3 three", false),
            (&story, "A fox slept. Its lamp went out.", true),
            (&story, "A fox slept. Its lamp went", false),
            (&story, "A fox and a lamp.", false),
            (&story, "A fox slept. Its lamps went out.", false),
        ] {
            assert_eq!(example.check(output), expected, "{output:?}");
        }
    }

    #[test]
    fn a_conversation_is_a_line_of_chat() {
        let line = serde_json::to_string(&example().conversation("addition")).unwrap();
        let expected = r#"{"task":"addition","messages":[{"role":"user","content":"1 + 2 = ?"},{"role":"assistant","content":"3"}]}"#;
        assert_eq!(line, expected);
    }
}
