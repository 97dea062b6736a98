//! The tasks, one file each.

mod addition;
mod fact_reversal;
mod facts;
mod sorting;
mod story;
mod sudoku;
mod template;
mod word_reversal;
mod world;

use crate::Task;

/// Every task.
pub const ALL: [&dyn Task; 8] = [
    &addition::Addition,
    &sorting::Sorting,
    &word_reversal::WordReversal,
    &template::Template,
    &story::Story,
    &facts::Facts,
    &fact_reversal::FactReversal,
    &sudoku::Sudoku,
];
