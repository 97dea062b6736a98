//! GSM8K ([Cobbe et al., 2021](https://arxiv.org/abs/2110.14168)): grade school word problems. `strict_match` takes the
//! number after the first `####`, `flexible_extract` the last number anywhere.

use crate::{Benchmark, EvalError, FreeFormQuestion, Judgement, Order, Record, Style, TaskKind, question::mark};

pub(crate) static TASK: Benchmark = Benchmark {
    name: "gsm8k",
    about: "Word problems of primary school, worked out in words",
    data: "openai/gsm8k, main: question, answer; shots from the split train",
    shots: Order::Drawn,
    kind: TaskKind::FreeForm { ask },
};

fn ask(record: &Record, _: Style) -> Result<FreeFormQuestion, EvalError> {
    let answer = record.text("answer")?;
    let gold = bare(answer);
    let rule = move |written: &str| {
        let (strict, flexible) = (strict(written), flexible(written));
        let right = |number: Option<&str>| mark(number.is_some_and(|number| bare(number) == gold));
        let marks = vec![("strict_match", right(strict)), ("flexible_extract", right(flexible))];
        Judgement { answer: strict.or(flexible).map(str::to_owned), marks }
    };
    Ok(FreeFormQuestion {
        prompt: format!("Question: {}\nAnswer:", record.text("question")?),
        target: Some(format!(" {answer}")),
        stops: &["Question:", "</s>", "<|im_end|>"],
        task_id: None,
        rule: Box::new(rule),
    })
}

/// Returns the number after the first `#### ` that is followed by one.
fn strict(text: &str) -> Option<&str> {
    const MARK: &str = "#### ";
    for (index, _) in text.match_indices(MARK) {
        let rest = &text[index + MARK.len()..];
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let length = digits.find(|c: char| !matches!(c, '0'..='9' | '.' | ',')).unwrap_or(digits.len());
        if length > 0 {
            return Some(&rest[..rest.len() - digits.len() + length]);
        }
    }
    None
}

/// Returns the last number, with a minus sign before it: a digit, or at least two characters of numbers and amounts of
/// money.
fn flexible(text: &str) -> Option<&str> {
    let (mut found, mut start) = (None, 0);
    while let Some(run) = text[start..].find(is_numeric).map(|offset| start + offset) {
        let end = text[run..].find(|c| !is_numeric(c)).map_or(text.len(), |offset| run + offset);
        let number = &text[run..end];
        if number.len() > 1 || number.starts_with(|c: char| c.is_ascii_digit()) {
            found = Some(&text[run - usize::from(text[..run].ends_with('-'))..end]);
        }
        start = end;
    }
    found
}

fn is_numeric(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '$' | '.' | ',')
}

/// Returns an answer in the form in which answers are compared: the text after the last `#### `, without commas, dollar
/// signs, and a full stop at the end or before a final line break.
fn bare(answer: &str) -> String {
    let answer = answer.replace([',', '$'], "");
    let answer = answer.rsplit("#### ").next().unwrap_or_default();
    let (line, end) = answer.strip_suffix('\n').map_or((answer, ""), |line| (line, "\n"));
    [line.strip_suffix('.').unwrap_or(line), end].concat().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_as_the_harness_finds_them() {
        // Strict: `#### (\-?[0-9\.\,]+)`, the first. Flexible: `(-?[$0-9.,]{2,})|(-?[0-9]+)`, the last.
        for (text, in_strict, in_flexible) in [
            ("so 5.\n#### 1,234", Some("1,234"), Some("1,234")),
            ("#### -7 or #### 8", Some("-7"), Some("8")),
            ("#### none, #### 3", Some("3"), Some("3")),
            ("####5 of 10.", None, Some("10.")),
            ("it costs $18.50", None, Some("$18.50")),
            ("a-3, b", None, Some("-3,")),
            ("one. two, three", None, None),
            ("wait... 4", None, Some("4")),
            ("4 ...", None, Some("...")),
        ] {
            assert_eq!((strict(text), flexible(text)), (in_strict, in_flexible), "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_bare() {
        for (answer, expected) in [("One\n#### 1,000", "1000"), ("$18.", "18"), ("18.50", "18.50")] {
            assert_eq!(bare(answer), expected);
        }
    }
}
