//! A question, its answer, and what counts as right.

use serde::Serialize;

/// A question in words and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is asked, without its wording: equal for questions that differ in words or in an order that says nothing.
    pub content: String,
    /// What the user says.
    pub prompt: String,
    /// An answer that is right.
    pub answer: String,
    rule: Rule,
}

/// Which answers are right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// The answer alone.
    Exact,
    /// The answer, or this one.
    Or(String),
    /// Every text of two sentences or more that contains all of these words and ends where a sentence does.
    Story(Vec<String>),
}

impl Example {
    /// A question with one answer.
    pub(crate) fn new(content: String, prompt: String, answer: String) -> Self {
        Self { content, prompt, answer, rule: Rule::Exact }
    }

    /// The same with a second answer that is right.
    pub(crate) fn or(self, other: String) -> Self {
        Self { rule: Rule::Or(other), ..self }
    }

    /// The same with every story right that contains all of `words`.
    pub(crate) fn story_with(self, words: &[&str]) -> Self {
        Self { rule: Rule::Story(words.iter().map(|&word| word.to_owned()).collect()), ..self }
    }

    /// Whether `output`, spaces around it aside, answers the question.
    pub fn check(&self, output: &str) -> bool {
        let output = output.trim();
        match &self.rule {
            Rule::Exact => output == self.answer,
            Rule::Or(other) => output == self.answer || output == other,
            Rule::Story(words) => {
                let has = |word: &String| output.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
                output.ends_with('.') && output.matches('.').count() > 1 && words.iter().all(has)
            }
        }
    }

    /// The question and its answer as `llada data prepare --format chat` reads them.
    pub fn conversation<'a>(&'a self, task: &'a str) -> Conversation<'a> {
        let messages =
            [Message { role: "user", content: &self.prompt }, Message { role: "assistant", content: &self.answer }];
        Conversation { task, messages }
    }
}

/// A line of chat JSONL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// The question, then the answer.
    pub messages: [Message<'a>; 2],
}

/// One message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Message<'a> {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// What was said.
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
