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

use crate::SyntheticTask;

/// All tasks.
pub const ALL: [&dyn SyntheticTask; 8] = [
    &addition::Addition,
    &sorting::Sorting,
    &word_reversal::WordReversal,
    &template::Template,
    &story::Story,
    &facts::Facts,
    &fact_reversal::FactReversal,
    &sudoku::Sudoku,
];
