//! HellaSwag ([Zellers et al., 2019](https://arxiv.org/abs/1905.07830)): the choice of the ending that continues a scene.

use crate::{
    Benchmark, Choice, ChoiceMetric, EvalError, Order, Record, TaskKind,
    text::{stripped, without},
};

pub(crate) static TASK: Benchmark = Benchmark {
    name: "hellaswag",
    about: "Which of four endings goes on with a scene",
    data: "Rowan/hellaswag: activity_label, ctx_a, ctx_b, endings, label",
    shots: Order::Drawn,
    kind: TaskKind::Choice { ask, metrics: &[ChoiceMetric::Acc, ChoiceMetric::AccNorm] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    let activity = record.text("activity_label")?;
    let scene = format!("{activity}: {} {}", record.text("ctx_a")?, capitalised(record.text("ctx_b")?));
    let endings: Vec<String> = record.texts("endings")?.into_iter().map(clean).collect();
    Ok(Choice::new(clean(&scene), &endings, record.index("label", endings.len())?))
}

/// Removes the marks of WikiHow, where half of the scenes come from: a title starts a sentence, all other marks are
/// deleted.
fn clean(text: &str) -> String {
    without(&stripped(text).replace(" [title]", ". "), '[', ']').replace("  ", " ")
}

/// Capitalises as Python does: all letters after the first become lower-case, including the second part of a letter such as
/// ß that is expanded.
fn capitalised(text: &str) -> String {
    let Some(first) = text.chars().next() else {
        return String::new();
    };
    let small = text.to_lowercase();
    let rest = small.chars().skip(first.to_lowercase().count());
    let mut capital = first.to_uppercase();
    capital.next().into_iter().chain(capital.flat_map(char::to_lowercase)).chain(rest).collect()
}
