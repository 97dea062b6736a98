//! MATH ([Hendrycks et al., 2021](https://arxiv.org/abs/2103.03874)): competition problems, asked as Minerva was
//! ([Lewkowycz et al., 2022](https://arxiv.org/abs/2206.14858), appendix D).
//!
//! `strict_match` reads the answer from Minerva's closing sentence, cleans it up and compares it as the harness does
//! (`exact_match`), but that braces are matched. `flexible_extract` also takes a sentence that ends
//! otherwise, or the last `\boxed`, and compares whole answers [leniently](lenient).

mod atoms;
mod compare;
mod extract;
mod formula;
mod lenient;
mod lexer;
mod normalise;
mod parser;
mod tex;
mod value;

use crate::{EvalError, Generation, Judgement, Kind, Order, Record, Style, Task, question::mark};
use extract::{CLOSING, OPENING, boxed, closing_sentence, last_sentence};
use normalise::normalise;

pub(crate) static TASK: Task = Task {
    name: "math",
    about: "Competition problems, answered by a formula",
    data: "EleutherAI/hendrycks_math: problem, solution",
    shots: Order::First,
    kind: Kind::Generation { ask },
};

fn ask(record: &Record, _: Style) -> Result<Generation, EvalError> {
    let solution = record.text("solution")?;
    let gold = boxed(solution).ok_or_else(|| record.wrong("solution", r"a solution with its answer in \boxed{}"))?;
    let gold = gold.to_owned();
    // The dataset's solutions do not end as Minerva's examples do.
    let target = match closing_sentence(solution) {
        Some(_) => format!(" {solution}"),
        None => format!(" {solution}\n{OPENING} ${gold}$. {CLOSING}"),
    };
    let rule = move |written: &str| {
        let strict = closing_sentence(written);
        let told = strict.as_deref().filter(|found| !found.is_empty());
        let flexible = told.or_else(|| last_sentence(written)).or_else(|| boxed(written));
        let is_strict = strict.as_ref().is_some_and(|found| compare::equal(&normalise(found), &normalise(&gold)));
        let is_flexible = flexible.is_some_and(|found| lenient::equal(found, &gold));
        let marks = vec![("strict_match", mark(is_strict)), ("flexible_extract", mark(is_flexible))];
        Judgement { answer: flexible.map(str::to_owned), marks }
    };
    Ok(Generation {
        prompt: format!("Problem:\n{}\n\nSolution:", record.text("problem")?),
        target: Some(target),
        stops: &["Problem:"],
        task_id: None,
        rule: Box::new(rule),
    })
}
