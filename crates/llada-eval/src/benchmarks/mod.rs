//! The benchmarks, one file each.

mod arc;
mod code;
mod countdown;
mod gsm8k;
mod hellaswag;
mod math;
mod mmlu;
mod piqa;
mod poems;
mod sudoku;
mod truthfulqa;
mod winogrande;

use crate::Benchmark;

/// All benchmarks.
pub const BENCHMARKS: [&Benchmark; 15] = [
    &arc::CHALLENGE,
    &arc::EASY,
    &hellaswag::TASK,
    &piqa::TASK,
    &mmlu::TASK,
    &winogrande::TASK,
    &truthfulqa::TASK,
    &gsm8k::TASK,
    &math::TASK,
    &poems::FORWARD,
    &poems::REVERSAL,
    &countdown::TASK,
    &sudoku::TASK,
    &code::HUMANEVAL,
    &code::MBPP,
];
