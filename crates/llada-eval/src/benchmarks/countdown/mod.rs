//! Countdown ([TinyZero](https://github.com/Jiayi-Pan/TinyZero)): an expression that uses each of the given numbers once and
//! has a given value. The wording of the prompt is this crate's own.
//!
//! `exact_match` is TinyZero's rule. It takes the last `<answer>` of the last line, which must consist of digits, `+ - * /`,
//! dots, parentheses and white space. Its runs of digits must be the given numbers, and its value in Python must be at most
//! 1e-5 away from the target. `flexible_extract` finds the answer on any line or, without tags, in the last line up to a
//! `=`, and accepts the signs × · ÷ −.

mod number;
mod python;

use crate::{
    Benchmark, EvalError, FreeFormQuestion, Judgement, Order, Record, Style, TaskKind, question::mark, text::stripped,
};
use python::evaluate;

pub(crate) static TASK: Benchmark = Benchmark {
    name: "countdown",
    about: "An expression over given numbers that has a given value",
    data: "Jiayi-Pan/Countdown-Tasks-3to4: nums, target",
    shots: Order::First,
    kind: TaskKind::FreeForm { ask },
};

fn ask(record: &Record, _: Style) -> Result<FreeFormQuestion, EvalError> {
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
    Ok(FreeFormQuestion { prompt, target: None, stops: &[], task_id: None, rule: Box::new(rule) })
}

/// Returns the text in the last pair of tags on the last line.
fn exact(text: &str) -> Option<&str> {
    last_answer(text.rsplit('\n').next()?)
}

/// Returns the expression that the text most likely means.
fn flexible(text: &str) -> String {
    let found = last_answer(text).or_else(|| text.trim().lines().last()).unwrap_or_default();
    let expression = found.split('=').next().unwrap_or(found);
    stripped(expression).replace(['×', '·'], "*").replace('÷', "/").replace('−', "-")
}

/// Returns the text in the last pair of tags. Tags pair from the left, so an opening tag within an answer is part of it.
fn last_answer(text: &str) -> Option<&str> {
    let (mut found, mut rest) = (None, text);
    while let Some((answer, after)) = rest.split_once("<answer>").and_then(|(_, inner)| inner.split_once("</answer>")) {
        (found, rest) = (Some(stripped(answer)), after);
    }
    found
}

/// Returns true if the expression uses exactly the `numbers`, which are sorted, and has the value `target`.
fn is_right(expression: &str, numbers: &[i64], target: i64) -> bool {
    let mut used: Vec<i64> = Vec::new();
    for run in expression.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()) {
        let Ok(number) = run.parse() else {
            return false;
        };
        used.push(number);
    }
    used.sort_unstable();
    used == numbers && evaluate(expression).is_some_and(|value| value.is_near(target))
}
