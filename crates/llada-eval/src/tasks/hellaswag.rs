//! HellaSwag ([Zellers et al., 2019](https://arxiv.org/abs/1905.07830)): which of four endings goes on with a scene.

use crate::{
    Choice, ChoiceMetric, EvalError, Kind, Order, Record, Task,
    text::{stripped, without},
};

pub(crate) static TASK: Task = Task {
    name: "hellaswag",
    about: "Which of four endings goes on with a scene",
    data: "Rowan/hellaswag: activity_label, ctx_a, ctx_b, endings, label",
    shots: Order::Drawn,
    kind: Kind::Choice { ask, metrics: &[ChoiceMetric::Acc, ChoiceMetric::AccNorm] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    let activity = record.text("activity_label")?;
    let scene = format!("{activity}: {} {}", record.text("ctx_a")?, capitalised(record.text("ctx_b")?));
    let endings: Vec<String> = record.texts("endings")?.into_iter().map(clean).collect();
    Ok(Choice::new(clean(&scene), &endings, record.index("label", endings.len())?))
}

/// Half of the scenes come from WikiHow with its marks in brackets: a title begins a sentence, the others mean nothing.
fn clean(text: &str) -> String {
    without(&stripped(text).replace(" [title]", ". "), '[', ']').replace("  ", " ")
}

/// As Python capitalises: all but the first letter becomes small, and of one that stands for two, such as ß, the second.
fn capitalised(text: &str) -> String {
    let Some(first) = text.chars().next() else {
        return String::new();
    };
    let small = text.to_lowercase();
    let rest = small.chars().skip(first.to_lowercase().count());
    let mut capital = first.to_uppercase();
    capital.next().into_iter().chain(capital.flat_map(char::to_lowercase)).chain(rest).collect()
}
