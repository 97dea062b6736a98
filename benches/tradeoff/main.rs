//! What steps cost and what they buy: accuracy on the held-out tasks against forwards and seconds, over the number of
//! steps, the remasking, the block length, the decoders and the caches (figures 5 and 6 of the LLaDA paper, in small).
//!
//! ```text
//! cargo bench --bench tradeoff
//! cargo bench --bench tradeoff -- --full --out FOLDER
//! LLADA_BENCH_MODEL=FOLDER cargo bench --bench tradeoff
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

mod grid;
mod measure;
mod page;
mod pictures;
mod report;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use llada_benches::place;

use crate::{
    measure::{Measured, Subject},
    report::Report,
};

/// The model that is measured where no other is named.
const MODEL: &str = "models/llada-tiny";

/// Examples of each task. The short form is a matter of minutes on two cores; its intervals are wide.
const SHORT: usize = 12;
const FULL: usize = 200;
const TEST: usize = 1;

/// Accuracy against steps and seconds, over the options of the sampler
///
/// LLADA_BENCH_MODEL names another model than models/llada-tiny.
#[derive(Parser)]
struct Args {
    /// Every decoder with every cache, 200 examples of each task: hours
    #[arg(long)]
    full: bool,

    /// Where tables, pictures and the page go, from the root of the workspace
    #[arg(long, value_name = "FOLDER", default_value = "target/tradeoff")]
    out: PathBuf,

    /// One setting, a question of each task; nothing is written
    #[arg(long)]
    test: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let folder = place::named_model().unwrap_or_else(|| place::from_root(Path::new(MODEL)));
    if !folder.join("config.json").exists() {
        let (shown, variable) = (folder.display(), place::MODEL);
        eprintln!("tradeoff: there are no weights in {shown}");
        eprintln!(
            "hint: cargo xtask train-tiny, then {variable}=runs/tiny/rehearse/model cargo bench --bench tradeoff"
        );
        return if args.test { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match run(&args, &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, folder: &Path) -> anyhow::Result<()> {
    let limit = if args.test {
        TEST
    } else if args.full {
        FULL
    } else {
        SHORT
    };
    let mut subject = Subject::open(folder, limit)?;
    let cells = if args.test { grid::smallest() } else { grid::all(args.full) };
    subject.warm_up()?;
    let mut measured: Vec<Measured> = Vec::new();
    for (number, &cell) in (1..).zip(&cells) {
        let found = subject.measure(cell)?;
        println!("[{number}/{}] {found}", cells.len());
        measured.push(found);
    }
    if args.test {
        return Ok(());
    }
    let report = Report::new(args.full, folder, limit, measured);
    let out = place::from_root(&args.out);
    let (steps, pareto) = (pictures::steps(&report).svg(), pictures::pareto(&report).svg());
    place::write(&out, "tradeoff.csv", &report.csv())?;
    place::write(&out, "tradeoff.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    place::write(&out, "steps.svg", &steps)?;
    place::write(&out, "pareto.svg", &pareto)?;
    place::write(&out, "index.html", &page::html(&report, [&steps, &pareto]))?;
    println!("\n{}\n{}\n{}", report.heading(), report.decoders_by_caches(), out.join("index.html").display());
    Ok(())
}
