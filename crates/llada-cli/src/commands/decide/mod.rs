//! `llada decide`: the probabilities of the options of questions, and how well they are calibrated.

mod questions;
mod report;

use std::{path::PathBuf, time::Instant};

use anyhow::Context;
use indicatif::ProgressBar;
use llada::OptionDistribution;
use llada_infer::ScoreConfig;

use crate::{args::ModelArgs, file::read_text, interrupt, session::Session};
use report::Report;

/// Answer questions whose options are given, by the probability of each
///
/// Questions are JSON objects, a line each, with the keys of OpenAI's decisions: `type` (predicate, choice or score),
/// `instructions` (the question), and `choices` of a choice or `levels` of a score: texts, or objects with `value` (of a
/// level: `label`) and `description`. `name` is what the answer is called by, `input` the text that the question is about
/// instead of --text, and `label` the right answer: true or false, or one of the options. If there are labels, the
/// calibration of the probabilities is reported. Options are listed for the model only if one has a description.
///
/// An option is scored as the whole answer in the model's chat template, as `llada score` does. Where options differ in one
/// token the probabilities are exact, otherwise estimates: after ± is the standard error.
#[derive(clap::Args)]
#[command(after_help = r#"Examples of questions:
  {"type": "predicate", "instructions": "Is the customer angry?", "label": true}
  {"type": "choice", "instructions": "Whose is it?", "choices": ["you", "me"], "label": "me"}
  {"type": "score", "instructions": "How urgent is it?", "levels": ["low", "medium", "high"]}"#)]
pub(crate) struct Args {
    /// Questions, one JSON object a line
    #[arg(long, value_name = "FILE")]
    questions: PathBuf,

    /// Text that the questions are about
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,

    /// File with the text that the questions are about
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    text_file: Option<PathBuf>,

    /// Samples where options differ in several tokens; more of them make standard errors smaller
    #[arg(long, value_name = "N", default_value_t = ScoreConfig::default().mc_num)]
    mc_num: usize,

    /// Scale of classifier-free guidance; 0 is none
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    cfg_scale: f32,

    /// Seed of the masks
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    model: ModelArgs,

    /// Print one JSON object: answers (with the keys of OpenAI's decisions, and standard_error), calibration (if there are
    /// labels), nfe, seconds, load_seconds
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let text = match (args.text, &args.text_file) {
        (None, Some(path)) => read_text(path)?,
        (text, _) => text.unwrap_or_default(),
    };
    let asked = questions::read(&args.questions)?;
    let mut session = Session::open(&args.model)?;
    let mut config =
        ScoreConfig { mc_num: args.mc_num, cfg_scale: args.cfg_scale, seed: args.seed, ..ScoreConfig::default() };
    let mut encoded = Vec::with_capacity(asked.len());
    for asked in &asked {
        let (model, place) = (&session.model, || asked.place.clone());
        let input = asked.input.as_deref().unwrap_or(&text);
        let options =
            asked.question.encode(input, model.tokenizer()?, model.special_tokens().eos).with_context(place)?;
        model.engine().validate_options(&options, &config).with_context(place)?;
        encoded.push(options);
    }
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(asked.len() as u64);
    let start = Instant::now();
    let mut report = Report::default();
    for (index, (asked, options)) in asked.into_iter().zip(&encoded).enumerate() {
        config.sample = index as u64;
        let scores = session.model.engine_mut().score_options(options, &config, |_, _| interrupt::check());
        let scores = scores.with_context(|| asked.place.clone())?;
        let nfe = scores.iter().map(|score| score.nfe).max().unwrap_or_default();
        report.add(asked, &OptionDistribution::from_scores(&scores), nfe);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.print(args.json, start.elapsed(), session.load_seconds)
}
