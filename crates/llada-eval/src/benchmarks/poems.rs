//! LLaDA's reversal test (`eval_reverse.py`; section 3.3 of the paper): the line of a Chinese poem after a given one, and
//! the line before it. An answer is right if it contains the line.

use crate::{Benchmark, EvalError, FreeFormQuestion, Judgement, Order, Record, TaskKind, question::mark};

pub(crate) static FORWARD: Benchmark = Benchmark {
    name: "poem_forward",
    about: "The next line of a Chinese poem",
    data: "LLaDA's poem_data.json: first, second",
    shots: Order::Drawn,
    kind: TaskKind::FreeForm { ask: |record, _| ask(record, ["first", "second"], "下") },
};

pub(crate) static REVERSAL: Benchmark = Benchmark {
    name: "poem_reversal",
    about: "The previous line of a Chinese poem",
    kind: TaskKind::FreeForm { ask: |record, _| ask(record, ["second", "first"], "上") },
    ..FORWARD
};

fn ask(record: &Record, [given, wanted]: [&str; 2], direction: &str) -> Result<FreeFormQuestion, EvalError> {
    let line = record.text(wanted)?.to_owned();
    Ok(FreeFormQuestion {
        prompt: format!("{}的{direction}一句是什么？ 直接输出句子即可。", record.text(given)?),
        target: Some(line.clone()),
        stops: &[],
        task_id: None,
        rule: Box::new(move |written| Judgement {
            answer: Some(written.trim().to_owned()),
            marks: vec![("contains", mark(written.contains(&line)))],
        }),
    })
}
