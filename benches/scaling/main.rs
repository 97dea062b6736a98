//! LLaDA scales like autoregressive models (section 3.2 and figure 3 of the paper), in small: bits per byte of held-out
//! text against the compute of training, over sizes and both objectives.
//!
//! ```text
//! cargo xtask train-tiny              # the first time, for the text
//! cargo bench --bench scaling
//! cargo bench --bench scaling -- --data FOLDER --tokens 10000000
//! cargo bench --bench scaling -- --documents 1000 --tokens 6000000
//! ```
//!
//! The learning rate stays after its warm-up, and each run is validated as it goes: so every validation is the end of a
//! run with that budget, a longer budget goes on where a shorter one ended, and one run gives what would otherwise take
//! a dozen. A rate that falls at the end would gain both objectives a little.
//!
//! With `--documents` it is a small text that is repeated, in one size, and bits per byte are against epochs.
#![allow(clippy::print_stdout, reason = "a program prints")]

mod corpus;
mod repeated;
mod report;
mod size;
mod train;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use llada_benches::{
    place,
    resumable::{self, STOP},
};
use llada_train::{data::Dataset, objective::Objective};

use crate::{
    corpus::Corpus,
    repeated::Repeated,
    report::Report,
    size::{ROW_LENGTH, SIZES},
    train::{Extent, train},
};

/// Bits per byte against compute, over sizes and objectives
///
/// Ctrl-C saves; the same command goes on. Remove the folder of --out to begin anew.
#[derive(Parser)]
struct Args {
    /// The folder of `cargo xtask train-tiny`: its tokenizer, and WordNet's text
    #[arg(long, value_name = "FOLDER", default_value = "runs/tiny")]
    data: PathBuf,

    /// What each run is trained on
    #[arg(long, value_name = "N", default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    tokens: u64,

    /// Repeat this many documents in place of all, in one size
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    documents: Option<u32>,

    /// Where runs, table and picture go, from the root of the workspace
    #[arg(long, value_name = "FOLDER", default_value = "target/scaling")]
    out: PathBuf,

    /// Two steps of the smallest size, on the text of the tasks; nothing is kept
    #[arg(long)]
    test: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = if args.test { test() } else { run(&args) };
    resumable::end(done)
}

/// Whether all of it was done.
fn run(args: &Args) -> anyhow::Result<bool> {
    resumable::listen()?;
    let out = place::from_root(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let data = place::from_root(&args.data);
    if let Some(documents) = args.documents {
        return repeat(documents as usize, args.tokens, &data, &out);
    }
    let extent = Extent::of(args.tokens, 32, 2048);
    let corpus = Corpus::wordnet(&data, &out)?;
    let mut report = Report::new(extent);
    for size in SIZES {
        for objective in [Objective::Diffusion, Objective::Ar] {
            let Some(curve) = train(size, objective, &corpus, extent, &out, &STOP)? else { return Ok(false) };
            report.curves.push(curve);
        }
    }
    let table = report.markdown();
    place::write(&out, "scaling.md", &table)?;
    place::write(&out, "scaling.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    place::write(&out, "scaling.svg", &report.chart().svg())?;
    println!("\n{table}\n{}", out.join("scaling.svg").display());
    Ok(true)
}

/// Whether all of it was done.
fn repeat(documents: usize, tokens: u64, data: &Path, out: &Path) -> anyhow::Result<bool> {
    // Runs and datasets belong to the number of documents.
    let out = &out.join(format!("documents-{documents}"));
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let corpus = Corpus::documents(documents, data, out)?;
    let text = Dataset::open(&corpus.text)?;
    let extent = Extent::of(tokens, repeated::BATCH_SIZE, repeated::EPOCHS * text.rows(ROW_LENGTH));
    let learn = |objective| train(repeated::SIZE, objective, &corpus, extent, out, &STOP);
    let Some(diffusion) = learn(Objective::Diffusion)? else { return Ok(false) };
    let Some(autoregressive) = learn(Objective::Ar)? else { return Ok(false) };
    let report = Repeated { documents, unique_tokens: text.tokens(), diffusion, autoregressive };
    let table = report.markdown();
    place::write(out, "repeated.md", &table)?;
    place::write(out, "repeated.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    place::write(out, "repeated.svg", &report.chart().svg())?;
    println!("\n{table}\n{}", out.join("repeated.svg").display());
    Ok(true)
}

fn test() -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let corpus = Corpus::tasks(folder.path())?;
    for objective in [Objective::Diffusion, Objective::Ar] {
        train(SIZES[0], objective, &corpus, Extent::TEST, folder.path(), &STOP)?;
    }
    Ok(true)
}
