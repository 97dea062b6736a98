//! LLaDA's reversal test (`eval_reverse.py`; section 3.3 of the paper): the line of a Chinese poem after a given one,
//! and the line before it. Right is an answer that contains the line.

use crate::{EvalError, Generation, Judgement, Kind, Order, Record, Task, question::mark};

pub(crate) static FORWARD: Task = Task {
    name: "poem_forward",
    about: "The next line of a Chinese poem",
    data: "LLaDA's poem_data.json: first, second",
    shots: Order::Drawn,
    kind: Kind::Generation { ask: |record, _| ask(record, ["first", "second"], "下") },
};

pub(crate) static REVERSAL: Task = Task {
    name: "poem_reversal",
    about: "The previous line of a Chinese poem",
    kind: Kind::Generation { ask: |record, _| ask(record, ["second", "first"], "上") },
    ..FORWARD
};

fn ask(record: &Record, [given, wanted]: [&str; 2], direction: &str) -> Result<Generation, EvalError> {
    let line = record.text(wanted)?.to_owned();
    Ok(Generation {
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
