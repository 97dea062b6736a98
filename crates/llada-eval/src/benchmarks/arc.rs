//! ARC ([Clark et al., 2018](https://arxiv.org/abs/1803.05457)): school science questions with three to five options.
//! Records have the columns of the hub, or those of AI2's own files: `question.stem`, `question.choices`, `answerKey`.

use crate::{Benchmark, Choice, ChoiceMetric, EvalError, Order, Record, TaskKind};

pub(crate) static CHALLENGE: Benchmark = Benchmark {
    name: "arc_challenge",
    about: "Science questions for schools, the hard ones",
    data: "allenai/ai2_arc, ARC-Challenge: question, choices.text, choices.label, answerKey; AI2's JSONL too",
    ..EASY
};

pub(crate) static EASY: Benchmark = Benchmark {
    name: "arc_easy",
    about: "Science questions for schools, the easy ones",
    data: "allenai/ai2_arc, ARC-Easy: question, choices.text, choices.label, answerKey; AI2's JSONL too",
    shots: Order::Drawn,
    kind: TaskKind::Choice { ask, metrics: &[ChoiceMetric::Acc, ChoiceMetric::AccNorm] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    const OWN: &str = "question.choices";
    let (question, choices, labels) = if record.has(OWN) {
        ("question.stem", record.each(OWN, "text")?, record.each(OWN, "label")?)
    } else {
        ("question", record.texts("choices.text")?, record.texts("choices.label")?)
    };
    if labels.len() != choices.len() {
        return Err(record.wrong("choices.label", format!("a label for each of the {} options", choices.len())));
    }
    // Most records label their options A, B, C; some label them 1, 2, 3.
    let key = record.key("answerKey")?;
    let gold = labels.iter().position(|label| *label == key);
    let gold = gold.ok_or_else(|| record.wrong("answerKey", format!("one of {}", labels.join(", "))))?;
    Ok(Choice::new(format!("Question: {}\nAnswer:", record.text(question)?), &choices, gold))
}
