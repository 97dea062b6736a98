//! `llada batch`: many answers, a request a line, resumable.

mod requests;

use std::{path::PathBuf, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    args::{GraphArgs, ModelArgs},
    interrupt,
    report::Report,
    results::Results,
    session::Session,
};
use requests::Line;

/// Answer the requests of a JSONL file, a result a line, in the same order
///
/// A request has an `id`, one of `prompt` (text), `prompt_ids` and `messages` (role and content, in the model's chat
/// template), and any option of `llada generate` under its flag's name with underscores: steps, gen_length, length,
/// initial_gen_length, ignore_eos, block_length, aligned_blocks, temperature, top_k, top_p, cfg_scale, remasking,
/// preset, algorithm, alg, decoder, threshold, confidence_alpha, threshold_back, factor, gamma, alg_temp, eps, noise_schedule,
/// rho, theta, eta, block_steps, minimal_topk, editing_threshold, max_post_steps, num_to_transfer, cache,
/// refresh_interval, refresh_drift, gen_interval_steps, transfer_ratio, suffix_window, suffix_trailing, suffix_dropout,
/// draft_length, max_nfe, eos, logits_eos_inf, confidence_eos_eot_inf, reference_compat, end_think_token_ids,
/// end_think_logit_boost, end_think_boost_power, stop_at_eos, stop (a list of texts), seed, regex, choice (a list of
/// texts), json_schema (an object), json_object (true), json_whitespace, json_max_depth, and holes (for each run of masks
/// in the prompt null, a regular expression, or an object with one of the last keys). A result has the id, what
/// `llada generate --json` prints (its time is that of the requests that went together), and `request`, a digest by
/// which a resumed run knows its results.
///
/// After an interrupt the same command goes on after the last finished line.
#[derive(clap::Args)]
#[command(after_help = r#"Example of a request:
  {"id": 1, "prompt": "The capital of France is", "gen_length": 32, "steps": 16, "block_length": 16}"#)]
pub(crate) struct Args {
    /// Requests, one JSON object a line
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Results, one JSON object a line; finished lines of an earlier run are kept
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// Requests that go through the model together: faster on a GPU. On a CPU the answers are the same for any number
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a Value,
    #[serde(flatten)]
    report: Report,
}

/// Nothing of a finished line matters but that it is finished.
#[derive(Deserialize)]
struct Nothing {}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let lines = requests::read(&args.input, args.model.algorithm()?)?;
    let mut session = Session::open_for_answers(&args.model, &args.graphs)?;
    let requests = lines.iter().map(|line| line.request(&session)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(request) = requests.iter().find(|request| request.config.confidence_eos_eot_inf) {
        session.warn_about(&request.config);
    }
    let (precision, folder) = (session.model.engine().predictor().precision(), session.model.folder());
    let settings = format!("{precision} {}", folder.display());
    let digests: Vec<String> = lines.iter().map(|line| line.digest(&settings)).collect();
    let (mut results, _) = Results::open::<Nothing>(&args.output, "--output", &digests)?;
    let bar = ProgressBar::new(lines.len() as u64)
        .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} requests, {eta} left")?)
        .with_position(results.finished() as u64);
    bar.reset_eta();
    while results.finished() < lines.len() {
        let first = results.finished();
        let group = first..lines.len().min(first + usize::from(args.batch_size));
        let start = Instant::now();
        let answers = session.model.engine_mut().generate_batch(&requests[group.clone()], |_| interrupt::check())?;
        let seconds = start.elapsed().as_secs_f64();
        for (index, answer) in group.zip(&answers) {
            let Line { id, stop, .. } = &lines[index];
            results.add(&digests[index], Entry { id, report: Report::new(&session, answer, stop, seconds)? })?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    session.note_graphs();
    eprintln!("{} results in {}", lines.len(), args.output.display());
    Ok(())
}
