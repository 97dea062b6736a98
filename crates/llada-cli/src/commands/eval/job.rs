//! The parts that both kinds of benchmarks share: reading questions, checking them, and recording their results.

use std::{collections::BTreeMap, path::Path, time::Instant};

use anyhow::Context;
use indicatif::ProgressBar;
use llada_core::rng::Noise;
use llada_eval::{Benchmark, Marks, PublishedModel, Question, Record, Shots, Style, Summary, read};
use llada_hub::dataset_file;
use llada_infer::InferError;
use serde::{Deserialize, Serialize};

use super::args::JobArgs;
use crate::{
    exit::{hinted, usage},
    progress,
    results::{Results, digest},
    session::Session,
};

/// Returns the style of prompts under the published settings of a model.
pub(super) fn style(settings_of: Option<PublishedModel>) -> Style {
    settings_of.map_or(Style::Plain, PublishedModel::style)
}

/// Reads the questions of `task`, with their shots, and the places of their records.
pub(super) fn questions(
    task: &'static Benchmark,
    args: &JobArgs,
    seed: u64,
) -> anyhow::Result<Vec<(String, Question)>> {
    let (style, count) = (style(args.settings_of), args.num_fewshot(task));
    let shots = match (&args.fewshot_data, count) {
        (_, 0) => Shots::default(),
        (Some(file), _) => Shots::new(task, style, &records(file)?, count)?,
        (None, _) => {
            let message = format!("{count} shots are asked for, and no file to take them from");
            return Err(usage(format!("{message}\nhint: --fewshot-data FILE, or --num-fewshot 0")));
        }
    };
    let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut all = Vec::new();
    for file in &args.data {
        all.extend(records(file)?);
    }
    let mut questions = Vec::new();
    for (index, record) in (0..).zip(all.into_iter().take(limit)) {
        let question = task.question(&record, style)?;
        let question = shots.before(question, index, Noise::new(seed)).with_context(|| record.place())?;
        questions.push((record.place(), question));
    }
    Ok(questions)
}

/// Reads the records of a file, which may be one in the Hugging Face cache.
fn records(file: &str) -> anyhow::Result<Vec<Record>> {
    Ok(match file.strip_prefix("hf:") {
        Some(typed) => read(&dataset_file(typed)?)?,
        None => read(Path::new(file))?,
    })
}

/// Refuses the job before it begins if a question cannot be asked. `validate` checks the question of an index.
pub(super) fn check(
    questions: &[(String, Question)],
    num_fewshot: usize,
    validate: impl Fn(usize) -> Result<(), InferError>,
) -> anyhow::Result<()> {
    let mut refused: Vec<(&String, InferError)> = Vec::new();
    for (index, (place, _)) in questions.iter().enumerate() {
        if let Err(error) = validate(index) {
            refused.push((place, error));
        }
    }
    // A remedy for the longest question helps all others too.
    let Some((place, error)) = refused.iter().min_by_key(|(_, error)| room(error)) else {
        return Ok(());
    };
    let hint = match (room(error), num_fewshot) {
        (None, _) => return Err(usage(format!("{place}: {error}"))),
        (Some(0), 0) => {
            "leave such records out of the data, or ask a model of a greater max_sequence_length".to_owned()
        }
        (Some(0), shots) => format!("--num-fewshot {}, or fewer", shots - 1),
        (Some(room), _) => format!("--gen-length {room} is the most that fits"),
    };
    let others = match refused.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Err(hinted(&format!("{place}{others}: {error}"), &hint))
}

/// Returns the number of tokens that an answer may have if it is too long, or `None` for another error.
fn room(error: &InferError) -> Option<usize> {
    match error {
        InferError::TooLong { prompt, max_sequence_length, .. } => Some(max_sequence_length.saturating_sub(*prompt)),
        InferError::ScoredTooLong { .. } => Some(0),
        _ => None,
    }
}

/// The progress of a job, its results so far, and the file that records them.
pub(super) struct Progress {
    results: Option<Results>,
    digests: Vec<String>,
    finished: usize,
    pub(super) summary: Summary,
    pub(super) nfe: usize,
    pub(super) start: Instant,
    bar: ProgressBar,
}

/// A line of the results file.
#[derive(Serialize, Deserialize)]
struct Line<T> {
    #[serde(flatten)]
    record: T,
    metrics: BTreeMap<String, f64>,
    nfe: usize,
}

/// The record of an answer of an earlier run, of which only the metrics are read.
#[derive(Serialize, Deserialize)]
struct Anything {}

impl Progress {
    /// Starts the job, or continues after the finished lines of an earlier run with the same settings.
    pub(super) fn open(
        session: &Session,
        args: &JobArgs,
        settings: &impl Serialize,
        questions: &[(String, Question)],
    ) -> anyhow::Result<Self> {
        let settings = serde_json::to_string(settings)?;
        let (precision, folder) = (session.model.engine().predictor().precision(), session.model.folder());
        let settings = format!("{settings} {precision} {}", folder.display());
        let digests: Vec<_> =
            questions.iter().map(|(_, question)| digest(&settings, &format!("{question:?}"))).collect();
        let (results, lines) = match &args.out {
            Some(path) => {
                let (results, lines) = Results::open::<Line<Anything>>(path, "--out", &digests)?;
                (Some(results), lines)
            }
            None => (None, Vec::new()),
        };
        let bar = progress::bar(questions.len(), "questions")?.with_position(lines.len() as u64);
        bar.reset_eta();
        let mut summary = Summary::default();
        for line in &lines {
            summary.add(line.metrics.iter().map(|(metric, &value)| (metric.as_str(), value)));
        }
        let nfe = lines.iter().map(|line| line.nfe).sum();
        Ok(Self { results, digests, finished: lines.len(), summary, nfe, start: Instant::now(), bar })
    }

    /// Returns the number of finished questions.
    pub(super) fn finished(&self) -> usize {
        self.finished
    }

    /// Records the result of the next question.
    pub(super) fn add(&mut self, record: impl Serialize, marks: Marks, nfe: usize) -> anyhow::Result<()> {
        self.summary.add(marks.iter().copied());
        self.nfe += nfe;
        if let Some(results) = &mut self.results {
            let metrics = marks.into_iter().map(|(metric, value)| (metric.to_owned(), value)).collect();
            results.add(&self.digests[self.finished], Line { record, metrics, nfe })?;
        }
        self.finished += 1;
        self.bar.inc(1);
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
