//! The questions of a file, every line of which is checked before the first is answered.

use std::path::Path;

use llada::{Question, QuestionKind};
use serde_json::{Map, Value};

use crate::{exit::usage, file::read_text};

/// A question as it was written.
pub(super) struct Asked {
    pub(super) question: Question,
    /// The text that it is about, if it has one of its own.
    pub(super) input: Option<String>,
    /// The index of the right option, if that is known.
    pub(super) right: Option<usize>,
    /// The file and the line.
    pub(super) place: String,
}

/// Reads the lines of `path`; empty ones are passed over.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Asked>> {
    let text = read_text(path)?;
    let mut questions = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{number}", path.display());
        let (question, input, right) = parse(line).map_err(|message| usage(format!("{place}: {message}")))?;
        questions.push(Asked { question, input, right, place });
    }
    if questions.is_empty() {
        let hint = r#"a line is {"type": "predicate", "instructions": "Is the customer angry?"}"#;
        return Err(usage(format!("{} has no questions\nhint: {hint}", path.display())));
    }
    Ok(questions)
}

/// Reads a question with its input and the index of its right option.
fn parse(line: &str) -> Result<(Question, Option<String>, Option<usize>), String> {
    let mut keys: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    keys.retain(|_, value| !value.is_null());
    let input = match keys.remove("input") {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => return Err(format!("input {other} is not a text")),
    };
    let label = keys.remove("label");
    let question: Question = serde_json::from_value(keys.into()).map_err(|error| error.to_string())?;
    let right = label.map(|label| right_option(&question, &label)).transpose()?;
    Ok((question, input, right))
}

/// Returns the index of the option that a label names.
fn right_option(question: &Question, label: &Value) -> Result<usize, String> {
    match (&question.kind, label) {
        (QuestionKind::Predicate {}, Value::Bool(is_true)) => Ok(usize::from(!is_true)),
        (QuestionKind::Predicate {}, _) => Err(format!("label {label} is neither true nor false")),
        _ => {
            let options = question.options();
            let right = options.iter().position(|option| label == option);
            right.ok_or_else(|| format!("label {label} is none of the options\nhint: {}", options.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::survives;

    const CHOICE: &str = r#"{"type": "choice", "instructions": "Who?", "choices": ["a", {"value": "b"}], "input": "A text.",
        "label": "b", "name": null}"#;

    #[test]
    fn labels_are_options_by_the_kind_of_the_question() {
        let (question, input, right) = parse(CHOICE).unwrap();
        assert_eq!((question.options(), input.as_deref(), right), (vec!["a", "b"], Some("A text."), Some(1)));
        let levels =
            r#"{"type": "score", "instructions": "How?", "levels": [{"label": "low"}, "high"], "label": "low"}"#;
        assert_eq!(parse(levels).unwrap().2, Some(0));
        for (label, index) in [(true, 0), (false, 1)] {
            let predicate = format!(r#"{{"type": "predicate", "instructions": "Is it?", "label": {label}}}"#);
            assert_eq!(parse(&predicate).unwrap().2, Some(index));
        }
    }

    #[test]
    fn what_is_no_question_is_named() {
        for (line, part) in [
            ("[]", "not a JSON object"),
            (r#"{"instructions": "Is it?"}"#, "missing field `type`"),
            (r#"{"type": "predicate"}"#, "missing field `instructions`"),
            (r#"{"type": "riddle", "instructions": "Is it?"}"#, "unknown variant `riddle`, expected one of"),
            (r#"{"type": "predicate", "instructions": "Is it?", "choices": []}"#, "unknown field `choices`"),
            (r#"{"type": "predicate", "instructions": "Is it?", "inputs": ""}"#, "unknown field `inputs`"),
            (r#"{"type": "choice", "instructions": "Who?"}"#, "missing field `choices`"),
            (r#"{"type": "choice", "instructions": "Who?", "choices": [1]}"#, "an option is a text, or an object"),
            (r#"{"type": "predicate", "instructions": "Is it?", "label": "yes"}"#, "neither true nor false"),
            (r#"{"type": "predicate", "instructions": "Is it?", "input": 3}"#, "input 3 is not a text"),
            (&CHOICE.replace("\"b\",", "\"c\","), "label \"c\" is none of the options\nhint: a, b"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn damaged_questions_are_errors_or_questions() {
        survives(256, CHOICE.as_bytes(), |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                drop(parse(text));
            }
        });
    }
}
