//! What steps cost and what they buy: accuracy on the held-out tasks against forwards and seconds, over the number of
//! steps, the remasking, the block length, the decoders and the caches (figures 5 and 6 of the LLaDA paper, in small); and
//! the same of constraints, on the tasks whose questions prescribe a form.
//!
//! ```text
//! cargo bench --bench tradeoff
//! cargo bench --bench tradeoff -- --full --out FOLDER
//! cargo bench --bench tradeoff -- --forms
//! cargo bench --bench tradeoff -- --presets
//! LLADA_BENCH_MODEL=FOLDER cargo bench --bench tradeoff -- --prompts FILE --gen-length 256 --block-length 32 --device cuda --dtype bf16
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

mod forms;
mod grid;
mod measure;
mod page;
mod pictures;
mod presets;
mod questions;
mod report;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use llada::{Device, Dtype, Model};
use llada_benches::place;
use llada_tasks::{ALL, GEN_LENGTH};

use crate::{
    forms::FormReport,
    grid::Canvas,
    measure::{Measured, Subject},
    presets::PresetReport,
    report::Report,
};

/// The model that is measured where no other is named.
const MODEL: &str = "models/llada-tiny";

/// Questions, or of tasks, examples of each. The short form is a matter of minutes on two cores; its intervals are wide.
const SHORT: usize = 12;
const FULL: usize = 200;
/// Of a task with a form, in the short form: few steps are quick.
const FORMS: usize = 50;
const TEST: usize = 1;

/// Accuracy against steps and seconds, over the options of the sampler
///
/// LLADA_BENCH_MODEL names another model than models/llada-tiny.
#[derive(Parser)]
struct Args {
    /// Every decoder with every cache, 200 examples of each task: hours
    #[arg(long)]
    full: bool,

    /// Only the tasks whose questions prescribe a form, with and without a constraint to it: a minute
    #[arg(long, conflicts_with = "prompts")]
    forms: bool,

    /// Only the presets and settings near them, task by task: a quarter of an hour
    #[arg(long, conflicts_with = "forms")]
    presets: bool,

    /// Instead of the tasks' examples, a `prompt` or `messages` and an `answer` a line; right is what contains `answer`
    #[arg(long, value_name = "FILE.jsonl")]
    prompts: Option<PathBuf>,

    /// Examples of each task, or lines of the file [default: 12, of a task with a form 50; --full and --presets 200]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Tokens of an answer
    #[arg(long, value_name = "N", default_value_t = GEN_LENGTH)]
    gen_length: usize,

    /// Tokens of a block, where the answer is not one
    #[arg(long, value_name = "N", default_value_t = 8)]
    block_length: usize,

    /// cpu, cuda or cuda:N
    #[arg(long, default_value_t = Device::Cpu)]
    device: Device,

    /// f32 or bf16
    #[arg(long, default_value_t = Dtype::F32)]
    dtype: Dtype,

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
    let limit_of = |short: usize| match args.limit {
        _ if args.test => TEST,
        Some(limit) => limit,
        None if args.full || args.presets => FULL,
        None => short,
    };
    let canvas = Canvas { gen_length: args.gen_length, block_length: args.block_length };
    let out = place::from_root(&args.out);
    let mut model = Model::options().device(args.device).precision(args.dtype).open(folder)?;
    if args.prompts.is_none() && !args.presets {
        let report = forms::measure(&mut model, folder, canvas, limit_of(FORMS))?;
        if !args.test {
            write_forms(&report, &out)?;
        }
    }
    if args.forms {
        return Ok(());
    }
    let limit = limit_of(SHORT);
    let tokenizer = model.tokenizer().context("the model cannot chat\nhint: name one that can")?;
    let (questions, asked) = match &args.prompts {
        Some(path) => {
            let questions = questions::of_file(tokenizer, &place::from_root(path), limit)?;
            let asked = format!("{} prompts of {}", questions.len(), path.display());
            (questions, asked)
        }
        None => {
            let asked = format!("{limit} held-out examples of each of {} tasks", ALL.len());
            (questions::of_tasks(tokenizer, limit, measure::SEED)?, asked)
        }
    };
    let mut subject = Subject::new(model, questions);
    subject.warm_up(&canvas.smallest().config(measure::SEED)?)?;
    if args.presets {
        let report = PresetReport::measure(&mut subject, report::model_name(folder), asked, canvas)?;
        place::write(&out, "presets.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
        place::write(&out, "presets.md", &report.table())?;
        println!("\n{}\n\n{}", report.heading(), report.table());
        return Ok(());
    }
    let cells = if args.test { vec![canvas.smallest()] } else { canvas.all(args.full) };
    let mut measured: Vec<Measured> = Vec::new();
    for (number, &cell) in (1..).zip(&cells) {
        let outcome = subject.measure(&cell.config(measure::SEED)?)?;
        println!("[{number}/{}] {cell}: {outcome}", cells.len());
        measured.push(Measured { cell, outcome });
    }
    if args.test {
        return Ok(());
    }
    let report = Report::new(args.full, folder, asked, canvas, measured);
    let (steps, pareto) = (pictures::steps(&report).svg(), pictures::pareto(&report).svg());
    place::write(&out, "tradeoff.csv", &report.csv())?;
    place::write(&out, "tradeoff.json", &(serde_json::to_string_pretty(&report)? + "\n"))?;
    place::write(&out, "steps.svg", &steps)?;
    place::write(&out, "pareto.svg", &pareto)?;
    place::write(&out, "index.html", &page::of_settings(&report, [&steps, &pareto]))?;
    let tables = [report.decoders_by_caches(), report.extras()].join("\n");
    println!("\n{}\n{tables}\n{}", report.heading(), out.join("index.html").display());
    Ok(())
}

fn write_forms(report: &FormReport, out: &Path) -> anyhow::Result<()> {
    let picture = forms::steps(report).svg();
    place::write(out, "forms.csv", &report.csv())?;
    place::write(out, "forms.json", &(serde_json::to_string_pretty(report)? + "\n"))?;
    place::write(out, "forms.svg", &picture)?;
    place::write(out, "forms.html", &report.page(&picture))?;
    println!("\n{}\n\n{}\n{}\n", report.heading(), report.table(), out.join("forms.html").display());
    Ok(())
}
