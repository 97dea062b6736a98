//! PIQA ([Bisk et al., 2020](https://arxiv.org/abs/1911.11641)): the choice of the way that reaches a goal in the physical
//! world.

use crate::{Benchmark, Choice, ChoiceMetric, EvalError, Order, Record, TaskKind};

pub(crate) static TASK: Benchmark = Benchmark {
    name: "piqa",
    about: "Which of two ways reaches a goal in the physical world",
    data: "baber/piqa: goal, sol1, sol2, label",
    shots: Order::Drawn,
    kind: TaskKind::Choice { ask, metrics: &[ChoiceMetric::Acc, ChoiceMetric::AccNorm] },
};

fn ask(record: &Record) -> Result<Choice, EvalError> {
    let ways = [record.text("sol1")?, record.text("sol2")?];
    Ok(Choice::new(format!("Question: {}\nAnswer:", record.text("goal")?), &ways, record.index("label", ways.len())?))
}
