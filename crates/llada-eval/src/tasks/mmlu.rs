//! MMLU ([Hendrycks et al., 2021](https://arxiv.org/abs/2009.03300)): 57 subjects, four options. What is scored is the
//! option's letter, so one sample is exact wherever the letter is one token.

use crate::{Choice, ChoiceMetric, EvalError, Kind, Order, Record, Task, text::stripped};

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

pub(crate) static TASK: Task = Task {
    name: "mmlu",
    about: "Examination questions of 57 subjects, answered by a letter",
    data: "cais/mmlu, all: question, subject, choices, answer; shots from the split dev",
    shots: Order::First,
    kind: Kind::Choice { ask, metrics: &[ChoiceMetric::Acc] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    let choices = record.texts("choices")?;
    if choices.len() != LETTERS.len() {
        return Err(record.wrong("choices", "a list of four texts"));
    }
    let options: String =
        LETTERS.iter().zip(&choices).map(|(letter, choice)| format!("{letter}. {choice}\n")).collect();
    let context = format!("{}\n{options}Answer:", stripped(record.text("question")?));
    let subject = record.text("subject")?.replace('_', " ");
    let description = format!("The following are multiple choice questions (with answers) about {subject}.\n\n");
    let named = LETTERS.iter().position(|letter| record.text("answer").is_ok_and(|answer| answer == *letter));
    let gold = named.map_or_else(|| record.index("answer", LETTERS.len()), Ok)?;
    Ok(Choice { description, ..Choice::new(context, &LETTERS, gold) })
}
