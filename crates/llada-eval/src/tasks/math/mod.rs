//! MATH ([Hendrycks et al., 2021](https://arxiv.org/abs/2103.03874)): competition problems, asked as Minerva was
//! ([Lewkowycz et al., 2022](https://arxiv.org/abs/2206.14858), appendix D).
//!
//! `strict_match` reads the answer from Minerva's closing sentence, as the harness does; `flexible_extract` takes the
//! last
//! `\boxed` where there is no such sentence. Answers are compared by [`normalise`](normalise::normalise).

mod normalise;

use crate::{EvalError, Generation, Judgement, Kind, Order, Record, Style, Task, question::mark};
use normalise::{equal, normalise};

const OPENING: &str = "Final Answer: The final answer is";
const CLOSING: &str = "I hope it is correct.";

pub(crate) static TASK: Task = Task {
    name: "math",
    about: "Competition problems, answered by a formula",
    data: "EleutherAI/hendrycks_math: problem, solution",
    shots: Order::First,
    kind: Kind::Generation { ask },
};

fn ask(record: &Record, _: Style) -> Result<Generation, EvalError> {
    let solution = record.text("solution")?;
    let answer = boxed(solution).ok_or_else(|| record.wrong("solution", r"a solution with its answer in \boxed{}"))?;
    let gold = normalise(answer);
    let rule = move |written: &str| {
        let strict = final_answer(written);
        let flexible = strict.or_else(|| boxed(written));
        let right = |found: Option<&str>| mark(found.is_some_and(|found| equal(&normalise(found), &gold)));
        let marks = vec![("strict_match", right(strict)), ("flexible_extract", right(flexible))];
        Judgement { answer: flexible.map(str::to_owned), marks }
    };
    // The dataset's solutions do not end as Minerva's examples do.
    let target = match final_answer(solution) {
        Some(_) => format!(" {solution}"),
        None => format!(" {solution}\n{OPENING} ${answer}$. {CLOSING}"),
    };
    Ok(Generation {
        prompt: format!("Problem:\n{}\n\nSolution:", record.text("problem")?),
        target: Some(target),
        stops: &["Problem:"],
        task_id: None,
        rule: Box::new(rule),
    })
}

/// What the first closing sentence says; it may be cut off at the end.
fn final_answer(text: &str) -> Option<&str> {
    let after = text.split_once(OPENING)?.1;
    let line = after.lines().next().unwrap_or_default();
    let answer = line.split_once(CLOSING).map_or(line, |(answer, _)| answer).trim();
    let answer = answer.strip_suffix('.').unwrap_or(answer).trim();
    (!answer.is_empty()).then_some(answer)
}

/// What the last `\boxed` or `\fbox` holds.
fn boxed(text: &str) -> Option<&str> {
    let command = ["\\boxed", "\\fbox"].into_iter().find_map(|command| Some(text.rfind(command)? + command.len()))?;
    let rest = &text[command..];
    let Some(inner) = rest.strip_prefix('{') else {
        // `\boxed 5$`: up to the end of the formula.
        return rest.strip_prefix(' ').and_then(|rest| rest.split('$').next());
    };
    let mut depth = 1;
    let closing = inner.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        depth == 0
    });
    closing.map(|(end, _)| &inner[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_nest() {
        for (text, expected) in [
            (r"so \boxed{1}, no, $\boxed{\frac{1}{2}}$.", Some(r"\frac{1}{2}")),
            (r"\fbox{3}", Some("3")),
            (r"$\boxed 5$ apples", Some("5")),
            (r"\boxed{1", None),
            ("5", None),
        ] {
            assert_eq!(boxed(text), expected, "{text}");
        }
    }

    #[test]
    fn closing_sentences_may_be_cut_off() {
        for (text, expected) in [
            ("Final Answer: The final answer is $4$. I hope it is correct.\nProblem", Some("$4$")),
            ("Final Answer: The final answer is $4.5$. I hope", Some("$4.5$. I hope")),
            ("Final Answer: The final answer is 4.", Some("4")),
            ("The final answer is 4.", None),
            ("Final Answer: The final answer is", None),
        ] {
            assert_eq!(final_answer(text), expected, "{text}");
        }
    }
}
