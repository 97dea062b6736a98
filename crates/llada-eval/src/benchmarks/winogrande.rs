//! WinoGrande ([Sakaguchi et al., 2020](https://arxiv.org/abs/1907.10641)): the choice of the noun that fills a gap.
//!
//! It uses partial evaluation ([Trinh and Le, 2018](https://arxiv.org/abs/1806.02847)): each noun is put into the gap, and
//! the rest of the sentence, which is the same for both, is scored.

use crate::{
    Benchmark, Choice, ChoiceMetric, EvalError, Order, Record, TaskKind, question::AnswerOption, text::stripped,
};

pub(crate) static TASK: Benchmark = Benchmark {
    name: "winogrande",
    about: "Which of two nouns a gap in a sentence stands for",
    data: "allenai/winogrande, winogrande_xl: sentence, option1, option2, answer",
    shots: Order::Drawn,
    kind: TaskKind::Choice { ask, metrics: &[ChoiceMetric::Acc] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    let sentence = record.text("sentence")?.split_once('_');
    let (before, after) = sentence.ok_or_else(|| record.wrong("sentence", "a sentence with a gap _"))?;
    let gold = match record.key("answer")?.as_ref() {
        "1" => 0,
        "2" => 1,
        _ => return Err(record.wrong("answer", "\"1\" or \"2\"")),
    };
    let mut options = Vec::new();
    for (index, noun) in [record.text("option1")?, record.text("option2")?].into_iter().enumerate() {
        options.push(AnswerOption::new(format!("{before}{noun}"), stripped(after), index == gold));
    }
    Ok(Choice { description: String::new(), options })
}
