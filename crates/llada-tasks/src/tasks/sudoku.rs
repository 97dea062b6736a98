//! A 4x4 sudoku with a unique solution, written row by row with 0 for an empty cell.
//!
//! Puzzles are held out, not solutions: there are only 288 solutions, so those of held-out puzzles also occur in training
//! with other clues.

use std::sync::LazyLock;

use llada_core::rng::Stream;

use crate::{Example, Split, SyntheticTask, pick};

const WORDINGS: [&str; 5] = [
    "Solve this 4x4 sudoku: {}",
    "Sudoku, row after row, 0 is empty: {}",
    "Fill in the zeros of the sudoku {}",
    "Complete this sudoku of four rows: {}",
    "What is the solution of the sudoku {}?",
];

/// The smallest number of empty cells in a puzzle.
const FEWEST: usize = 3;

type Grid = [u8; 16];

static SOLUTIONS: LazyLock<Vec<Grid>> = LazyLock::new(|| {
    let mut found = Vec::new();
    complete([0; 16], 0, &mut found);
    found
});

pub(crate) struct Sudoku;

impl SyntheticTask for Sudoku {
    fn name(&self) -> &'static str {
        "sudoku"
    }

    fn levels(&self) -> u64 {
        5
    }

    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example> {
        let solution = pick::one(stream, &SOLUTIONS);
        let mut puzzle = *solution;
        for cell in pick::several(stream, &Vec::from_iter(0..16_usize), FEWEST + level as usize) {
            puzzle[cell] = 0;
        }
        let content = text(&puzzle);
        (Split::of(&content) == split && is_unique(&puzzle)).then(|| {
            let prompt = pick::worded(stream, &WORDINGS, &content);
            let form = content.replace('0', "[1-4]");
            Example::new(content, prompt, text(solution)).of_form(form)
        })
    }
}

fn text(grid: &Grid) -> String {
    grid.iter().map(u8::to_string).collect()
}

fn is_unique(puzzle: &Grid) -> bool {
    SOLUTIONS.iter().filter(|solution| agrees(puzzle, solution)).count() == 1
}

/// Returns true if the solution has all clues of the puzzle.
fn agrees(puzzle: &Grid, solution: &Grid) -> bool {
    puzzle.iter().zip(solution).all(|(&clue, &digit)| clue == 0 || clue == digit)
}

/// Appends every completion of `grid`, which is filled up to `cell`, to `found`.
fn complete(grid: Grid, cell: usize, found: &mut Vec<Grid>) {
    if cell == grid.len() {
        return found.push(grid);
    }
    for digit in (1..=4).filter(|&digit| fits(&grid, cell, digit)) {
        let mut next = grid;
        next[cell] = digit;
        complete(next, cell + 1, found);
    }
}

fn fits(grid: &Grid, cell: usize, digit: u8) -> bool {
    for (other, &its_digit) in grid.iter().enumerate() {
        let same_row = cell / 4 == other / 4;
        let same_column = cell % 4 == other % 4;
        let same_box = cell / 8 == other / 8 && cell % 4 / 2 == other % 4 / 2;
        if its_digit == digit && (same_row || same_column || same_box) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_288_solutions() {
        assert_eq!(SOLUTIONS.len(), 288);
        assert!(SOLUTIONS.contains(&[1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 1]));
    }

    #[test]
    fn a_puzzle_may_have_one_solution_or_more() {
        assert!(is_unique(&SOLUTIONS[17]));
        assert!(!is_unique(&[0; 16]));
    }
}
