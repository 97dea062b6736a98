//! Countdown ([TinyZero](https://github.com/Jiayi-Pan/TinyZero)): an expression over all of the given numbers, each
//! once, that has a given value. The wording is this crate's own.
//!
//! `exact_match` is TinyZero's rule: of the last line, the last `<answer>`, in which nothing stands but digits, `+ - * /`,
//! dots, parentheses and white space, whose runs of digits are the given numbers, and whose value in Python is at most
//! 1e-5 away. `flexible_extract` finds the answer on any line or, without tags, in the last one, up to a `=`, and reads
//! the signs × · ÷ −.

mod number;
mod python;

use crate::{EvalError, Generation, Judgement, Kind, Order, Record, Style, Task, question::mark, text::stripped};
use python::evaluate;

pub(crate) static TASK: Task = Task {
    name: "countdown",
    about: "An expression over given numbers that has a given value",
    data: "Jiayi-Pan/Countdown-Tasks-3to4: nums, target",
    shots: Order::First,
    kind: Kind::Generation { ask },
};

fn ask(record: &Record, _: Style) -> Result<Generation, EvalError> {
    let (mut numbers, target) = (record.integers("nums")?, record.integer("target")?);
    let shown: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let prompt = format!(
        "Use the numbers {}, each exactly once, with +, -, * and / to make an expression that equals {target}. Give the \
         expression in <answer> </answer>, for example <answer>(1 + 2) / 3</answer>.",
        shown.join(", ")
    );
    numbers.sort_unstable();
    let rule = move |written: &str| {
        let (exact, flexible) = (exact(written), flexible(written));
        let right = |expression: &str| mark(is_right(expression, &numbers, target));
        let marks = vec![("exact_match", exact.map_or(0.0, right)), ("flexible_extract", right(&flexible))];
        Judgement { answer: Some(exact.map_or(flexible, str::to_owned)), marks }
    };
    Ok(Generation { prompt, target: None, stops: &[], task_id: None, rule: Box::new(rule) })
}

/// What stands in the last pair of tags of the last line.
fn exact(text: &str) -> Option<&str> {
    last_answer(text.rsplit('\n').next()?)
}

/// The expression that is probably meant.
fn flexible(text: &str) -> String {
    let found = last_answer(text).or_else(|| text.trim().lines().last()).unwrap_or_default();
    let expression = found.split('=').next().unwrap_or(found);
    stripped(expression).replace(['×', '·'], "*").replace('÷', "/").replace('−', "-")
}

/// Tags pair from the left: what begins within an answer is part of it.
fn last_answer(text: &str) -> Option<&str> {
    let (mut found, mut rest) = (None, text);
    while let Some((answer, after)) = rest.split_once("<answer>").and_then(|(_, inner)| inner.split_once("</answer>")) {
        (found, rest) = (Some(stripped(answer)), after);
    }
    found
}

/// Whether the expression is of the `numbers`, which are in ascending order, and has the value `target`.
fn is_right(expression: &str, numbers: &[i64], target: i64) -> bool {
    let digits = expression.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    let used: Option<Vec<i64>> = digits.map(|run| run.parse().ok()).collect();
    let is_used = used.is_some_and(|mut used| {
        used.sort_unstable();
        used == numbers
    });
    is_used && evaluate(expression).is_some_and(|value| value.is_near(target))
}
