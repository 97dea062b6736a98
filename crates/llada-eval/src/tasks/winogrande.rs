//! WinoGrande ([Sakaguchi et al., 2020](https://arxiv.org/abs/1907.10641)): which of two nouns a gap stands for.
//!
//! Partial evaluation ([Trinh and Le, 2018](https://arxiv.org/abs/1806.02847)): each noun is put into the gap, and what
//! is scored is the same rest of the sentence after either.

use crate::{Choice, ChoiceMetric, EvalError, Kind, Order, Record, Task, question::Answer, text::stripped};

pub(crate) static TASK: Task = Task {
    name: "winogrande",
    about: "Which of two nouns a gap in a sentence stands for",
    data: "allenai/winogrande, winogrande_xl: sentence, option1, option2, answer",
    shots: Order::Drawn,
    kind: Kind::Choice { ask, metrics: &[ChoiceMetric::Acc] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    let sentence = record.text("sentence")?.split_once('_');
    let (before, after) = sentence.ok_or_else(|| record.wrong("sentence", "a sentence with a gap _"))?;
    let gold = match record.key("answer")?.as_ref() {
        "1" => 0,
        "2" => 1,
        _ => return Err(record.wrong("answer", "\"1\" or \"2\"")),
    };
    let nouns = [record.text("option1")?, record.text("option2")?];
    let option = |(index, noun)| Answer::new(format!("{before}{noun}"), stripped(after), index == gold);
    Ok(Choice { description: String::new(), options: nouns.into_iter().enumerate().map(option).collect() })
}
