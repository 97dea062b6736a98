//! The presets beside settings near them, task by task: what the presets were chosen by.

use llada::{Preset, SamplerConfig};
use llada_benches::aup::aup;
use llada_infer::Algorithm;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    grid::Canvas,
    measure::{Outcome, SEED, Subject},
};

/// The presets and settings near them, by the flags that they are typed as, with the options that these are.
fn settings() -> Vec<(String, Map<String, Value>)> {
    let mut settings = Vec::new();
    let mut add = |preset: Preset, flags: &str, options: Value| {
        let mut options = options.as_object().cloned().unwrap_or_default();
        options.insert("preset".to_owned(), preset.to_string().into());
        settings.push((format!("--preset {preset} {flags}").trim_end().to_owned(), options));
    };
    for &preset in Preset::ALL {
        add(preset, "", json!({}));
    }
    for threshold in [0.9, 0.8, 0.7, 0.6] {
        add(Preset::Balanced, &format!("--threshold {threshold}"), json!({"threshold": threshold}));
    }
    add(Preset::Balanced, "--confidence-alpha 0.3", json!({"confidence_alpha": 0.3}));
    add(Preset::Balanced, "--cache none", json!({"cache": "none"}));
    add(Preset::Balanced, "--cache prefix", json!({"cache": "prefix"}));
    add(Preset::Balanced, "--stop-at-eos", json!({"stop_at_eos": true}));
    add(Preset::Fast, "--decoder factor", json!({"decoder": "factor"}));
    settings
}

/// One of the settings, and what came of it.
#[derive(Debug, Serialize)]
struct Row {
    flags: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// All of them.
#[derive(Debug, Serialize)]
pub(crate) struct PresetReport {
    model: String,
    questions: String,
    #[serde(flatten)]
    canvas: Canvas,
    settings: Vec<Row>,
}

impl PresetReport {
    /// Asks everything under each setting, in blocks of the canvas.
    pub(crate) fn measure(
        subject: &mut Subject,
        model: String,
        questions: String,
        canvas: Canvas,
    ) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        let settings = settings();
        for (number, (flags, mut options)) in (1..).zip(settings.clone()) {
            options.insert("gen_length".to_owned(), canvas.gen_length.into());
            options.insert("block_length".to_owned(), canvas.block_length.into());
            options.insert("seed".to_owned(), SEED.into());
            let outcome = subject.measure(&SamplerConfig::from_request(options, Algorithm::Vanilla)?)?;
            println!("[{number}/{}] {flags}: {outcome}", settings.len());
            rows.push(Row { flags, outcome });
        }
        Ok(Self { model, questions, canvas, settings: rows })
    }

    /// What was measured, in a sentence.
    pub(crate) fn heading(&self) -> String {
        let Self { model, questions, canvas: Canvas { gen_length, block_length }, .. } = self;
        format!("{model}: {questions}, answers of {gen_length} tokens in blocks of {block_length}, seed {SEED}")
    }

    /// Markdown: a row a setting, a column a task, then all of them.
    pub(crate) fn table(&self) -> String {
        let Some(plain) = self.settings.first() else { return String::new() };
        let tasks: Vec<&str> = plain.outcome.evaluation.tallies.keys().copied().collect();
        let rule = "---|".repeat(tasks.len() + 5);
        let mut table = format!("| | {} | all | tokens a forward | AUP | seconds |\n|{rule}\n", tasks.join(" | "));
        let point = |row: &Row| (row.outcome.evaluation.tokens_per_forward(), row.outcome.percent());
        let best = self.settings.iter().map(|row| point(row).1).fold(0.0, f64::max);
        for row in &self.settings {
            let (tokens, right) = point(row);
            let each = row.outcome.evaluation.tallies.values();
            let each: Vec<String> = each.map(|tally| format!("{:.1}", 100.0 * tally.exact_match())).collect();
            let [low, high] = row.outcome.mean_interval.map(|bound| 100.0 * bound);
            table += &format!(
                "| `{}` | {} | {right:.1} ({low:.1} to {high:.1}) | {tokens:.2} | {:.0} | {:.4} |\n",
                row.flags,
                each.join(" | "),
                aup(&[point(plain), (tokens, right)], best),
                row.outcome.seconds_per_answer,
            );
        }
        table
    }
}
