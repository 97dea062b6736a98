//! MMLU ([Hendrycks et al., 2021](https://arxiv.org/abs/2009.03300)): questions of 57 subjects with four options. The letter
//! of an option is scored, so one sample is exact if the letter is one token.

use crate::{Benchmark, Choice, ChoiceMetric, EvalError, Order, Record, TaskKind, text::stripped};

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

pub(crate) static TASK: Benchmark = Benchmark {
    name: "mmlu",
    about: "Examination questions of 57 subjects, answered by a letter",
    data: "cais/mmlu, all: question, subject, choices, answer; shots from the split dev",
    shots: Order::First,
    kind: TaskKind::Choice { ask, metrics: &[ChoiceMetric::Acc] },
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
