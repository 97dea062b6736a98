//! Sudoku, 4x4, as [d1](https://arxiv.org/abs/2504.12216) gives it to LLaDA: 16 digits, row by row, 0 for an empty
//! cell. The wording is this crate's own. Right is a grid that keeps the given digits and the rules, or the record's
//! solution; d1 counts cells instead.

use crate::{EvalError, Generation, Judgement, Kind, Order, Record, Style, Task, question::mark, text::last_between};

const SIDE: usize = 4;
const CELLS: usize = SIDE * SIDE;

pub(crate) static TASK: Task = Task {
    name: "sudoku",
    about: "4x4 sudokus, as 16 digits",
    data: "d1's 4x4_test_sudoku.csv: Puzzle, 16 digits of which 0 is an empty cell, and Solution",
    shots: Order::First,
    kind: Kind::Generation { ask },
};

fn ask(record: &Record, _: Style) -> Result<Generation, EvalError> {
    let grid = |column| {
        let cells = record.text(column)?;
        let digits: Option<Vec<u32>> =
            cells.chars().map(|c| c.to_digit(10).filter(|&digit| digit as usize <= SIDE)).collect();
        digits.filter(|digits| digits.len() == CELLS).ok_or_else(|| record.wrong(column, "16 digits from 0 to 4"))
    };
    let (given, solution) = (grid("Puzzle")?, grid("Solution")?);
    // Published puzzles may have no grid that keeps all rules; theirs is what can be answered then.
    let of_each = (1..=SIDE as u32).all(|digit| solution.iter().filter(|&&cell| cell == digit).count() == SIDE);
    if !of_each || !keeps(&solution, &given) {
        return Err(
            record.wrong("Solution", "a solution of the puzzle: four of each digit, the given ones in their places")
        );
    }
    let puzzle = record.text("Puzzle")?;
    let rule = move |written: &str| {
        let found = last_between(written, "<answer>", "</answer>").unwrap_or(written);
        let digits: Vec<u32> = found.chars().filter_map(|c| c.to_digit(10)).collect();
        let grid = &digits[digits.len().saturating_sub(CELLS)..];
        let answer = grid.iter().map(u32::to_string).collect();
        Judgement { answer: Some(answer), marks: vec![("exact_match", mark(grid == solution || solves(grid, &given)))] }
    };
    Ok(Generation {
        prompt: format!(
            "Solve this 4x4 sudoku, written row by row as 16 digits with 0 for an empty cell: {puzzle}\nEvery row, column \
             and 2x2 box has each of the digits 1 to 4 once. Give the solved grid as 16 digits in <answer> </answer>."
        ),
        target: Some(format!("\n<answer>{}</answer>", record.text("Solution")?)),
        stops: &[],
        task_id: None,
        rule: Box::new(rule),
    })
}

/// Whether `grid` keeps the `given` digits and the rules.
fn solves(grid: &[u32], given: &[u32]) -> bool {
    let units: [fn(usize) -> usize; 3] =
        [|cell| cell / SIDE, |cell| cell % SIDE, |cell| cell / (2 * SIDE) * 2 + cell % SIDE / 2];
    let complete = |unit: fn(usize) -> usize| {
        let mut seen = [0_u32; SIDE];
        grid.iter().enumerate().for_each(|(cell, digit)| seen[unit(cell)] |= 1 << digit);
        seen == [0b1_1110; SIDE]
    };
    keeps(grid, given) && units.into_iter().all(complete)
}

fn keeps(grid: &[u32], given: &[u32]) -> bool {
    grid.len() == CELLS && given.iter().zip(grid).all(|(&given, &cell)| given == 0 || given == cell)
}
