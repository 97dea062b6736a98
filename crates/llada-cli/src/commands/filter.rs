//! `llada filter`: a decoder that learns from a model's own answers which predictions are final.

use std::path::PathBuf;

use clap::ArgGroup;
use llada_infer::{
    Algorithm, DecoderConfig, Request,
    learn2pd::{Fit, Quality, examples},
};
use llada_tasks::Split;
use serde::Serialize;

use super::questions;
use crate::{
    args::{GraphArgs, ModelArgs, SamplerArgs},
    exit::usage,
    file::{check_writable, write_whole},
    interrupt, progress,
    session::Session,
};

/// Train a decoder: a small network that tells which predictions are final (Learn2PD)
///
/// The model answers each prompt a token a step, and then again, committing in each step all predictions that are in that
/// answer. A network of one hidden layer learns from the confidences in these steps which predictions these are: 2112
/// numbers for blocks of 32 tokens. `llada generate --filter FILE` and `llada compare --filter FILE` commit what it takes
/// for final. One answer in nine is kept back, to tell how well it does.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["prompts", "tasks"]))]
#[command(after_help = "Examples:
  llada filter --model DIR --prompts prompts.jsonl --gen-length 256 --block-length 32 --out filter.json
  llada compare --model DIR --prompts others.jsonl --gen-length 256 --block-length 32 --filter filter.json")]
pub(crate) struct Args {
    /// File with a {\"prompt\": TEXT} or a {\"messages\": [...]} a line; of messages, those before the first answer count
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,

    /// Instead of prompts, so many training examples of each checkable task
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,

    /// How often the network sees each step
    #[arg(
        long,
        value_name = "N",
        default_value_t = Fit::default().epochs as u32,
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Training"
    )]
    epochs: u32,

    /// Learning rate of Adam
    #[arg(long, value_name = "F", default_value_t = Fit::default().lr, help_heading = "Training")]
    lr: f32,

    #[command(flatten)]
    sampler: SamplerArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,

    /// The filter, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: PathBuf,

    /// Print one JSON object: answers, steps, parameters, threshold, and of the answers kept back places, is_final,
    /// committed, right
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    answers: usize,
    steps: usize,
    parameters: usize,
    threshold: f32,
    #[serde(flatten)]
    quality: Quality,
}

/// Every so many-th answer is kept back; no multiple of the number of tasks, which take turns.
const KEPT_BACK: usize = 9;

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.sampler.config(Algorithm::Vanilla)?;
    if config.decoder != DecoderConfig::Schedule || config.steps.is_some() {
        return Err(usage("a filter learns from answers of a token a step\nhint: neither --decoder nor --steps"));
    }
    if config.temperature != 0.0 {
        let message =
            format!("temperature {} leaves answers to chance\nhint: leave --temperature out", config.temperature);
        return Err(usage(message));
    }
    let block_length = config.block_length.unwrap_or(config.gen_length);
    check_writable(&args.out)?;
    let mut session = Session::open_for_answers(&args.model, &args.graphs)?;
    let questions = match &args.prompts {
        Some(path) => questions::of_file(&session, path, None)?,
        None => questions::of_tasks(&session, Split::Train, args.tasks.unwrap_or_default(), None, false)?,
    };
    if questions.len() < KEPT_BACK {
        let message = format!("{} prompts are too few to learn from\nhint: {KEPT_BACK} or more", questions.len());
        return Err(usage(message));
    }
    let prompts: Vec<Vec<u32>> = questions.into_iter().map(|question| question.prompt).collect();
    let requests = Request::for_each(&prompts, &config);
    for request in &requests {
        session.model.engine().validate(request)?;
    }
    let bar = progress::bar(requests.len(), "answers")?;
    let (mut learned, mut kept_back) = (Vec::new(), Vec::new());
    for (number, request) in (1..).zip(&requests) {
        let steps = if number % KEPT_BACK == 0 { &mut kept_back } else { &mut learned };
        steps.extend(examples(session.model.engine_mut(), request, |_| interrupt::check())?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    session.note_graphs();
    let filter = Fit { epochs: args.epochs as usize, lr: args.lr, seed: config.seed }.filter(block_length, &learned)?;
    write_whole(&args.out, |file| Ok(serde_json::to_writer(file, &filter)?))?;
    let report = Report {
        answers: requests.len(),
        steps: learned.len() + kept_back.len(),
        parameters: filter.parameters(),
        threshold: filter.threshold,
        quality: filter.quality(&kept_back),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print(&args.out);
    }
    Ok(())
}

impl Report {
    fn print(&self, out: &std::path::Path) {
        let Quality { places, is_final, committed, right } = self.quality;
        let percent = |of: usize, all: usize| 100.0 * of as f64 / all.max(1) as f64;
        println!(
            "{}: {} parameters, from {} steps of {} answers",
            out.display(),
            self.parameters,
            self.steps,
            self.answers
        );
        println!(
            "of {places} predictions kept back {:.1} % were final; it commits {:.1} % at {}, of which {:.1} % are",
            percent(is_final, places),
            percent(committed, places),
            self.threshold,
            percent(right, committed)
        );
    }
}
