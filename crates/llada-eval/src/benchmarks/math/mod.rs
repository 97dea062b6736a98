//! MATH ([Hendrycks et al., 2021](https://arxiv.org/abs/2103.03874)): competition problems with the prompts of Minerva
//! ([Lewkowycz et al., 2022](https://arxiv.org/abs/2206.14858), appendix D).
//!
//! `strict_match` takes the answer from Minerva's closing sentence and normalises and compares it as the harness does
//! (`exact_match`), except that braces are matched. `flexible_extract` also accepts a sentence that ends differently or the
//! last `\boxed`, and compares whole answers [leniently](lenient).

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

use crate::{Benchmark, EvalError, FreeFormQuestion, Judgement, Order, Record, Style, TaskKind, question::mark};
use extract::{CLOSING, OPENING, boxed, closing_sentence, last_sentence};
use normalise::normalise;

pub(crate) static TASK: Benchmark = Benchmark {
    name: "math",
    about: "Competition problems, answered by a formula",
    data: "EleutherAI/hendrycks_math: problem, solution",
    shots: Order::First,
    kind: TaskKind::FreeForm { ask },
};

fn ask(record: &Record, _: Style) -> Result<FreeFormQuestion, EvalError> {
    let solution = record.text("solution")?;
    let gold = boxed(solution).ok_or_else(|| record.wrong("solution", r"a solution with its answer in \boxed{}"))?;
    let gold = gold.to_owned();
    // Minerva's examples end with a closing sentence, which the solutions of the dataset lack.
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
    Ok(FreeFormQuestion {
        prompt: format!("Problem:\n{}\n\nSolution:", record.text("problem")?),
        target: Some(target),
        stops: &["Problem:"],
        task_id: None,
        rule: Box::new(rule),
    })
}
