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
    /// The mean time to compile the form of a question, which the seconds of answers are without.
    pub(super) compile_seconds: f64,
    pub(super) cells: Vec<FormCell>,
}

impl fmt::Display for FormCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, steps, nfe_per_answer, seconds_per_answer, .. } = self;
        let form = if self.is_constrained { "constrained" } else { "free" };
        let (right, valid) = (self.right(), self.valid());
        write!(f, "{task}, {steps} steps, {form}: {right} right, {valid} valid, ")?;
        write!(f, "{nfe_per_answer:.1} forwards, {seconds_per_answer:.4} s")
    }
}

impl FormCell {
    fn right(&self) -> String {
        let [low, high] = self.score.interval.map(|bound| 100.0 * bound);
        format!("{:.0} % ({low:.0} to {high:.0})", 100.0 * self.score.accuracy)
    }

    fn valid(&self) -> String {
        format!("{:.0} %", 100.0 * self.score.valid)
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
        let mut csv = "task,steps,constrained,answers,accuracy,low,high,valid,nfe_per_answer,forced_per_answer,\
                       seconds_per_answer\n"
            .to_owned();
        for cell in &self.cells {
            let (score, [low, high]) = (cell.score, cell.score.interval);
            csv += &format!(
                "{},{},{},{},{:.6},{low:.6},{high:.6},{:.6},{:.4},{:.4},{:.6}\n",
                cell.task,
                cell.steps,
                cell.is_constrained,
                score.answers,
                score.accuracy,
                score.valid,
                cell.nfe_per_answer,
                cell.forced_per_answer,
                cell.seconds_per_answer,
            );
        }
        csv
    }

    /// Markdown: a row a task and number of steps, free beside constrained.
    pub(crate) fn table(&self) -> String {
        let mut table = "| task | steps | free: right | valid | constrained: right | valid | forwards | seconds |\n\
                         |---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for pair in self.cells.chunks_exact(2) {
            let [free, constrained] = [&pair[0], &pair[1]];
            table += &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
                free.task,
                free.steps,
                free.right(),
                free.valid(),
                constrained.right(),
                constrained.valid(),
                both(free.nfe_per_answer, constrained.nfe_per_answer, 1),
                both(free.seconds_per_answer, constrained.seconds_per_answer, 4),
            );
        }
        table
    }

    /// A page that needs nothing else; `picture` is SVG.
    pub(crate) fn page(&self, picture: &str) -> String {
        let row = |cell: &FormCell| {
            vec![
                cell.task.to_owned(),
                cell.steps.to_string(),
                if cell.is_constrained { "yes" } else { "no" }.to_owned(),
                cell.right(),
                cell.valid(),
                format!("{:.1}", cell.nfe_per_answer),
                format!("{:.1}", cell.forced_per_answer),
                format!("{:.4}", cell.seconds_per_answer),
            ]
        };
        Page {
            title: "Answers of a form",
            about: format!(
                "{}. Forwards, forced tokens and seconds are those of an answer. A form is compiled once, here in {:.1} ms",
                self.heading(),
                1e3 * self.compile_seconds
            ),
            pictures: &[picture],
            heads: &["task", "steps", "constrained", "right (95 % interval)", "valid", "forwards", "forced", "seconds"],
            rows: self.cells.iter().map(row).collect(),
        }
        .html()
    }
}

/// Two numbers, or one if they are written alike.
fn both(free: f64, constrained: f64, digits: usize) -> String {
    let [free, constrained] = [free, constrained].map(|number| format!("{number:.digits$}"));
    if free == constrained { free } else { format!("{free} → {constrained}") }
}
