//! The answers to questions and their calibration, as text or as a JSON object.

use std::{io, io::Write, time::Duration};

use llada::{Decision, Expectation, OptionDistribution, Verdict};
use llada_eval::{Calibration, CalibrationFigures, Figure};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::questions::Asked;
use crate::watch::one_line;

/// The answers so far.
#[derive(Default)]
pub(super) struct Report {
    answers: Vec<Answered>,
    calibration: Calibration,
    nfe: usize,
}

/// A question with its answer.
struct Answered {
    asked: Asked,
    probabilities: Vec<Expectation>,
    decision: Decision,
}

#[derive(Serialize)]
struct JsonReport<'a> {
    answers: Vec<&'a Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<CalibrationFigures>,
    nfe: usize,
    seconds: f64,
    load_seconds: f64,
}

impl Report {
    /// Adds the answer to a question, which took `nfe` forwards.
    pub(super) fn add(&mut self, asked: Asked, distribution: &OptionDistribution, nfe: usize) {
        let (probabilities, decision) = (distribution.probabilities(), asked.question.decision(distribution));
        if let Some(right) = asked.right {
            let values: Vec<f64> = probabilities.iter().map(|option| option.value).collect();
            self.calibration.add(&values, right);
        }
        self.answers.push(Answered { asked, probabilities, decision });
        self.nfe += nfe;
    }

    pub(super) fn print(&self, json: bool, time: Duration, load_seconds: f64) -> anyhow::Result<()> {
        let figures = self.calibration.figures();
        let calibration = Some(figures).filter(|figures| figures.questions > 0);
        let (nfe, seconds) = (self.nfe, time.as_secs_f64());
        let mut out = io::stdout().lock();
        if json {
            let answers = self.answers.iter().map(|answered| &answered.decision).collect();
            let report = JsonReport { answers, calibration, nfe, seconds, load_seconds };
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
            return Ok(());
        }
        for answered in &self.answers {
            answered.print(&mut out)?;
        }
        if let Some(figures) = calibration {
            print_calibration(&figures, &mut out)?;
        }
        let questions = self.answers.len();
        writeln!(out, "{questions} questions, {nfe} forwards, {seconds:.1} s")?;
        Ok(())
    }
}

impl Answered {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { asked, probabilities, decision } = self;
        let name = asked.question.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        writeln!(out, "{}", one_line(&format!("{name}{}", asked.question.instructions)))?;
        let options: Vec<String> = asked.question.options().into_iter().map(one_line).collect();
        let width = options.iter().map(|option| option.width()).max().unwrap_or_default();
        for (index, (option, probability)) in options.iter().zip(probabilities).enumerate() {
            let space = " ".repeat(width - option.width());
            let right = if asked.right == Some(index) { "  right" } else { "" };
            writeln!(out, "  {option}{space}  {}{right}", shown(probability.value, probability.standard_error))?;
        }
        if let Verdict::Score { score, standard_error, .. } = &decision.verdict {
            writeln!(out, "  score {}", shown(*score, *standard_error))?;
        }
        writeln!(out)
    }
}

/// Returns a value with its standard error.
fn shown(value: f64, standard_error: Option<f64>) -> String {
    let error = standard_error.map_or_else(|| "unknown".to_owned(), |error| format!("{error:.4}"));
    format!("{value:.4} ± {error}")
}

fn print_calibration(figures: &CalibrationFigures, out: &mut impl Write) -> io::Result<()> {
    let CalibrationFigures { questions, accuracy, ece, brier, .. } = figures;
    writeln!(out, "{:<27}  {:>6}  95 % interval", format!("calibration of {questions}"), "value")?;
    for (name, figure) in [("accuracy", accuracy), ("expected calibration error", ece), ("Brier score", brier)] {
        let Figure { value, interval: [low, high], .. } = figure;
        writeln!(out, "{name:<27}  {value:>6.4}  {low:.4} to {high:.4}")?;
    }
    writeln!(out)
}
