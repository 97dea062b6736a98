//! 4x4 Sudoku in the format of [d1](https://arxiv.org/abs/2504.12216): 16 digits, row by row, with 0 for an empty cell. The
//! wording of the prompt is this crate's own. A grid is right if it keeps the given digits and the rules, or if it is the
//! solution of the record. (d1 counts correct cells instead.)

use crate::{
    Benchmark, EvalError, FreeFormQuestion, Judgement, Order, Record, Style, TaskKind, question::mark,
    text::last_between,
};

const SIDE: usize = 4;
const CELLS: usize = SIDE * SIDE;

pub(crate) static TASK: Benchmark = Benchmark {
    name: "sudoku",
    about: "4x4 sudokus, as 16 digits",
    data: "d1's 4x4_test_sudoku.csv: Puzzle, 16 digits of which 0 is an empty cell, and Solution",
    shots: Order::First,
    kind: TaskKind::FreeForm { ask },
};

fn ask(record: &Record, _: Style) -> Result<FreeFormQuestion, EvalError> {
    let (given, solution) = (grid(record, "Puzzle")?, grid(record, "Solution")?);
    // Some published puzzles cannot be solved by all rules. Their solution is then the only right answer, so it is not
    // checked against the rules.
    let is_complete = (1..=SIDE as u32).all(|digit| solution.iter().filter(|&&cell| cell == digit).count() == SIDE);
    if !is_complete || !keeps(&solution, &given) {
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
    Ok(FreeFormQuestion {
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

/// Reads the grid in `column`.
fn grid(record: &Record, column: &str) -> Result<Vec<u32>, EvalError> {
    let mut digits = Vec::with_capacity(CELLS);
    for c in record.text(column)?.chars() {
        digits.extend(c.to_digit(10).filter(|&digit| digit as usize <= SIDE));
    }
    if digits.len() != CELLS || record.text(column)?.chars().count() != CELLS {
        return Err(record.wrong(column, "16 digits from 0 to 4"));
    }
    Ok(digits)
}

/// Returns true if `grid` keeps the `given` digits and the rules.
fn solves(grid: &[u32], given: &[u32]) -> bool {
    // The digits that occur in each row, column and box, as bits.
    let (mut rows, mut columns, mut boxes) = ([0_u32; SIDE], [0_u32; SIDE], [0_u32; SIDE]);
    if !keeps(grid, given) {
        return false;
    }
    for (cell, digit) in grid.iter().enumerate() {
        let (row, column) = (cell / SIDE, cell % SIDE);
        rows[row] |= 1 << digit;
        columns[column] |= 1 << digit;
        boxes[row / 2 * 2 + column / 2] |= 1 << digit;
    }
    [rows, columns, boxes] == [[0b1_1110; SIDE]; 3]
}

fn keeps(grid: &[u32], given: &[u32]) -> bool {
    grid.len() == CELLS && given.iter().zip(grid).all(|(&given, &cell)| given == 0 || given == cell)
}
