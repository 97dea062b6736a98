//! ARC ([Clark et al., 2018](https://arxiv.org/abs/1803.05457)): science questions for schools, three to five options.
//! The hub's columns, or those of AI2's own files: `question.stem`, `question.choices`, `answerKey`.

use crate::{Choice, ChoiceMetric, EvalError, Kind, Order, Record, Task};

pub(crate) static CHALLENGE: Task = Task {
    name: "arc_challenge",
    about: "Science questions for schools, the hard ones",
    data: "allenai/ai2_arc, ARC-Challenge: question, choices.text, choices.label, answerKey; AI2's JSONL too",
    ..EASY
};

pub(crate) static EASY: Task = Task {
    name: "arc_easy",
    about: "Science questions for schools, the easy ones",
    data: "allenai/ai2_arc, ARC-Easy: question, choices.text, choices.label, answerKey; AI2's JSONL too",
    shots: Order::Drawn,
    kind: Kind::Choice { ask, metrics: &[ChoiceMetric::Acc, ChoiceMetric::AccNorm] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    const OWN: &str = "question.choices";
    let (question, choices, labels) = match record.has(OWN) {
        true => ("question.stem", record.each(OWN, "text")?, record.each(OWN, "label")?),
        false => ("question", record.texts("choices.text")?, record.texts("choices.label")?),
    };
    if labels.len() != choices.len() {
        return Err(record.wrong("choices.label", format!("a label for each of the {} options", choices.len())));
    }
    // Most records count their options A, B, C, some 1, 2, 3.
    let key = record.key("answerKey")?;
    let gold = labels.iter().position(|label| *label == key);
    let gold = gold.ok_or_else(|| record.wrong("answerKey", format!("one of {}", labels.join(", "))))?;
    Ok(Choice::new(format!("Question: {}\nAnswer:", record.text(question)?), &choices, gold))
}
