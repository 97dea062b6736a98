//! The figures of forms as tables: CSV, Markdown, a page.

use std::fmt;

use serde::Serialize;

use super::FormCell;
use crate::page::Page;

/// All that was measured of forms, and on what.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FormReport {
    pub(super) model: String,
    /// The questions of each task.
    pub(super) limit: usize,
    pub(super) gen_length: usize,
    pub(super) seed: u64,
    /// The mean time to compile a form; the seconds of answers are without it.
    pub(super) compile_seconds: f64,
    pub(super) cells: Vec<FormCell>,
}

impl fmt::Display for FormCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, temperature, steps, .. } = self;
        let form = if self.is_constrained { "constrained" } else { "free" };
        let [right, valid, nfe, seconds] = [self.right(), self.valid(), self.nfe(), self.seconds()];
        write!(f, "{task}, temperature {temperature}, {steps} steps, {form}: ")?;
        write!(f, "{right} right, {valid} of the form, {nfe} forwards, {seconds} s")
    }
}

/// The figures of an answer, as they are written.
impl FormCell {
    fn right(&self) -> String {
        let (share, interval) = self.accuracy();
        let [low, high] = interval.map(|bound| 100.0 * bound);
        format!("{:.1} % ({low:.0} to {high:.0})", 100.0 * share)
    }

    fn valid(&self) -> String {
        format!("{:.1} %", 100.0 * self.of_answer(self.valid as f64))
    }

    fn nfe(&self) -> String {
        format!("{:.2}", self.of_answer(self.nfe as f64))
    }

    fn seconds(&self) -> String {
        format!("{:.4}", self.of_answer(self.seconds))
    }
}

impl FormReport {
    /// What was measured, in a sentence.
    pub(crate) fn heading(&self) -> String {
        let Self { model, limit, gen_length, seed, .. } = self;
        format!(
            "{model}: {limit} held-out examples of each task with a form, {gen_length} tokens in one block, seed {seed}"
        )
    }

    pub(crate) fn csv(&self) -> String {
        let mut csv = "task,temperature,steps,constrained,answers,accuracy,low,high,valid,nfe_per_answer,\
                       forced_per_answer,seconds_per_answer\n"
            .to_owned();
        for cell in &self.cells {
            let FormCell { task, temperature, steps, is_constrained, answers, .. } = cell;
            let (accuracy, [low, high]) = cell.accuracy();
            let [valid, nfe, forced] = [cell.valid, cell.nfe, cell.forced].map(|sum| cell.of_answer(sum as f64));
            let seconds = cell.of_answer(cell.seconds);
            csv +=
                &format!("{task},{temperature},{steps},{is_constrained},{answers},{accuracy:.6},{low:.6},{high:.6},");
            csv += &format!("{valid:.6},{nfe:.4},{forced:.4},{seconds:.6}\n");
        }
        csv
    }

    /// Markdown: a row a temperature and number of steps, over all tasks, free beside constrained.
    pub(crate) fn table(&self) -> String {
        let mut table =
            "| temperature | steps | answers | right | of the form | forwards | seconds |\n|---|---|---|---|---|---|---|\n"
                .to_owned();
        for cell in self.over_tasks() {
            let form = if cell.is_constrained { "constrained" } else { "free" };
            let [right, valid, nfe, seconds] = [cell.right(), cell.valid(), cell.nfe(), cell.seconds()];
            let setting = format!("{} | {} | {form}", cell.temperature, cell.steps);
            table += &format!("| {setting} | {right} | {valid} | {nfe} | {seconds} |\n");
        }
        table
    }

    /// The cells of all tasks together.
    fn over_tasks(&self) -> Vec<FormCell> {
        let mut sums: Vec<FormCell> = Vec::new();
        for cell in &self.cells {
            let setting = |cell: &FormCell| (cell.temperature, cell.steps, cell.is_constrained);
            match sums.iter_mut().find(|sum| setting(sum) == setting(cell)) {
                Some(sum) => sum.add(cell),
                None => sums.push(FormCell { task: "all", ..cell.clone() }),
            }
        }
        sums
    }

    /// A page that needs nothing else; `picture` is SVG.
    pub(crate) fn page(&self, picture: &str) -> String {
        let row = |cell: &FormCell| {
            vec![
                cell.task.to_owned(),
                if cell.is_constrained { "constrained" } else { "free" }.to_owned(),
                cell.temperature.to_string(),
                cell.steps.to_string(),
                cell.right(),
                cell.valid(),
                cell.nfe(),
                format!("{:.1}", cell.of_answer(cell.forced as f64)),
                cell.seconds(),
            ]
        };
        let about = format!(
            "{}. Forwards, forced tokens and seconds are those of an answer. To compile a form takes {:.1} ms",
            self.heading(),
            1e3 * self.compile_seconds
        );
        Page {
            title: "Answers of a form",
            about,
            pictures: &[picture],
            heads: &[
                "task",
                "answers",
                "temperature",
                "steps",
                "right (95 % interval)",
                "of the form",
                "forwards",
                "forced tokens",
                "seconds",
            ],
            rows: self.over_tasks().iter().chain(&self.cells).map(row).collect(),
        }
        .html()
    }
}
