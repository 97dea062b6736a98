//! The figures as tables: CSV, JSON, Markdown.

use std::path::{Path, PathBuf};

use llada_benches::aup::aup;
use llada_core::confidence::Remasking;
use llada_infer::{CacheKind, DecoderKind};
use serde::Serialize;

use crate::{
    grid::{CACHES, Canvas, Cell, DECODERS},
    measure::{Measured, SEED},
};

/// All that was measured, and on what.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) model: String,
    /// What was asked, in words.
    pub(crate) questions: String,
    form: &'static str,
    #[serde(flatten)]
    pub(crate) canvas: Canvas,
    seed: u64,
    pub(crate) cells: Vec<Measured>,
}

impl Report {
    pub(crate) fn new(full: bool, folder: &Path, questions: String, canvas: Canvas, cells: Vec<Measured>) -> Self {
        let form = if full { "full" } else { "short" };
        Self { model: model_name(folder), questions, form, canvas, seed: SEED, cells }
    }

    /// What was measured, in a sentence.
    pub(crate) fn heading(&self) -> String {
        let Self { model, questions, form, seed, .. } = self;
        format!("{model}, {form} form: {questions}, seed {seed}")
    }

    pub(crate) fn csv(&self) -> String {
        let mut csv = "decoder,cache,extra,remasking,block_length,steps,answers,accuracy,low,high,nfe_per_answer,\
                       tokens_per_forward,seconds_per_answer\n"
            .to_owned();
        for found in &self.cells {
            let (cell, found) = (found.cell, &found.outcome);
            let [low, high] = found.mean_interval;
            let steps = cell.steps.map_or_else(String::new, |steps| steps.to_string());
            let extra = cell.extra.map_or_else(String::new, |extra| extra.to_string());
            csv += &format!(
                "{},{},{extra},{},{},{steps},{},{:.6},{low:.6},{high:.6},{:.4},{:.4},{:.6}\n",
                cell.decoder,
                cell.cache,
                cell.remasking,
                cell.block_length,
                found.answers,
                found.evaluation.mean_exact_match(),
                found.nfe_per_answer,
                found.evaluation.tokens_per_forward(),
                found.seconds_per_answer,
            );
        }
        csv
    }

    /// Markdown: a row a decoder, a column a cache, where that was measured.
    pub(crate) fn decoders_by_caches(&self) -> String {
        let heads: String = CACHES.iter().map(|cache| format!(" cache {cache} |")).collect();
        let mut table = format!(
            "Accuracy, tokens a forward, seconds an answer, and AUP from the schedule, in blocks of {}; the schedule takes a \
             step a token.\n\n| decoder |{heads}\n|---|{}\n",
            self.canvas.block_length,
            "---|".repeat(CACHES.len())
        );
        for decoder in DECODERS {
            let cells: String = CACHES.map(|cache| self.cell(decoder, cache)).concat();
            table += &format!("| `{decoder}` |{cells}\n");
        }
        table
    }

    /// Markdown: a row a setting with a window, a refresh by drift, drafts or a preset.
    pub(crate) fn extras(&self) -> String {
        let mut table = "| decoder | cache | beside it | |\n|---|---|---|---|\n".to_owned();
        for found in &self.cells {
            let Cell { decoder, cache, extra: Some(extra), .. } = found.cell else { continue };
            table += &format!("| `{decoder}` | `{cache}` | `{extra}` |{}\n", self.shown(found));
        }
        table
    }

    /// A field of the table of decoders and caches.
    fn cell(&self, decoder: DecoderKind, cache: CacheKind) -> String {
        self.find(decoder, cache).map_or_else(|| " |".to_owned(), |found| self.shown(found))
    }

    /// What was found, as a field of a table.
    fn shown(&self, found: &Measured) -> String {
        let Some(plain) = self.find(DecoderKind::Schedule, CacheKind::None) else { return " |".to_owned() };
        let point = |found: &Measured| (found.outcome.evaluation.tokens_per_forward(), found.outcome.percent());
        let ((tokens, right), seconds) = (point(found), found.outcome.seconds_per_answer);
        let best = self.cells.iter().map(|found| point(found).1).fold(0.0, f64::max);
        let aup = aup(&[point(plain), (tokens, right)], best);
        format!(" {right:.1} %, {tokens:.2}, {seconds:.3} s, {aup:.0} |")
    }

    /// The low-confidence setting of a decoder and a cache, in blocks, with as many steps as it can take.
    fn find(&self, decoder: DecoderKind, cache: CacheKind) -> Option<&Measured> {
        self.cells.iter().find(|found| {
            let cell = found.cell;
            (cell.decoder, cell.cache, cell.block_length) == (decoder, cache, self.canvas.block_length)
                && (cell.remasking, cell.extra) == (Remasking::LowConfidence, None)
                && cell.steps.is_none_or(|steps| steps == cell.gen_length)
        })
    }
}

/// The last two parts of a model's folder.
pub(crate) fn model_name(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().rev().take(2).collect();
    parts.into_iter().rev().collect::<PathBuf>().display().to_string()
}
