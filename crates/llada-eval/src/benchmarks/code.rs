//! HumanEval ([Chen et al., 2021](https://arxiv.org/abs/2107.03374)) and MBPP
//! ([Austin et al., 2021](https://arxiv.org/abs/2108.07732)): Python functions. Nothing is executed; the completions are
//! for a sandbox.

use crate::{Benchmark, EvalError, FreeFormQuestion, Judgement, Order, Record, Style, TaskKind, text::code};

pub(crate) static HUMANEVAL: Benchmark = Benchmark {
    name: "humaneval",
    about: "Python functions to be completed; writes completions, runs nothing",
    data: "openai/openai_humaneval: task_id, prompt, canonical_solution",
    shots: Order::First,
    kind: TaskKind::FreeForm { ask: humaneval },
};

pub(crate) static MBPP: Benchmark = Benchmark {
    name: "mbpp",
    about: "Python functions from a description; writes completions, runs nothing",
    data: "google-research-datasets/mbpp: task_id, text, code, test_list; shots from the split prompt",
    shots: Order::First,
    kind: TaskKind::FreeForm { ask: mbpp },
};

fn humaneval(record: &Record, style: Style) -> Result<FreeFormQuestion, EvalError> {
    let prompt = record.text("prompt")?;
    let (prompt, stops): (_, &[&str]) = match style {
        Style::Plain => (prompt.to_owned(), &["\nclass", "\ndef", "\n#", "\nif", "\nprint"]),
        // A sandbox appends the completion to the prompt, where a whole function redefines the one in the prompt.
        Style::Chat => {
            let ask = "Write a solution to the following problem and make sure that it passes the tests:";
            (format!("{ask}\n```python\n{prompt}\n```\n"), &[])
        }
    };
    generation(record, style, prompt, record.text("canonical_solution")?.to_owned(), stops)
}

fn mbpp(record: &Record, style: Style) -> Result<FreeFormQuestion, EvalError> {
    // The harness shows three tests, even if there are more.
    let [first, second, third, ..] = record.texts("test_list")?[..] else {
        return Err(record.wrong("test_list", "a list of at least three texts"));
    };
    let tests = [first, second, third].join("\n");
    let (text, code) = (record.text("text")?, record.text("code")?);
    let expert = "You are an expert Python programmer, and here is your task:";
    let (prompt, target, stops): (_, _, &[&str]) = match style {
        Style::Plain => (
            format!("{expert} {text} Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"),
            format!("{code}\n[DONE]"),
            &["[DONE]"],
        ),
        Style::Chat => (
            format!("{expert}\n{text}\nYour code should pass these tests:\n{tests}"),
            format!("\n```python\n{code}\n```"),
            &[],
        ),
    };
    generation(record, style, prompt, target, stops)
}

fn generation(
    record: &Record,
    style: Style,
    prompt: String,
    target: String,
    stops: &'static [&'static str],
) -> Result<FreeFormQuestion, EvalError> {
    let rule = move |written: &str| {
        let completion = match style {
            Style::Plain => written.to_owned(),
            Style::Chat => format!("\n{}", code(written)),
        };
        Judgement { answer: Some(completion), marks: Vec::new() }
    };
    let task_id = Some(record.value("task_id")?.clone());
    Ok(FreeFormQuestion { prompt, target: Some(target), stops, task_id, rule: Box::new(rule) })
}
