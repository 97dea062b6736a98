//! `llada score`: an estimate of the log-likelihood of an answer.

use std::time::Instant;

use indicatif::ProgressBar;
use llada_infer::{Estimator, Score, ScoreConfig};
use serde::Serialize;

use crate::{
    args::{Ids, ModelArgs},
    exit::usage,
    interrupt,
    session::Session,
};

/// Estimate the log-likelihood of an answer given a prompt
///
/// A lower bound of it, by masking the answer in many ways and summing the log-probabilities of what was masked (the
/// paper's equations 3 and 6). The standard error tells how far another seed's estimate may lie.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  llada score --model DIR --prompt 'The capital of France is' --answer ' Paris'
  llada score --model DIR --prompt-ids 1,2,3 --answer-ids 4,5 --mc-num 1024 --json")]
pub(crate) struct Args {
    /// Text that the answer follows
    #[arg(long, value_name = "TEXT", requires = "answer", required_unless_present = "prompt_ids")]
    prompt: Option<String>,

    /// Text to score
    #[arg(long, value_name = "TEXT", requires = "prompt")]
    answer: Option<String>,

    /// Token ids that the answer follows; may be empty
    #[arg(long, value_name = "1,2,3", requires = "answer_ids", conflicts_with = "prompt")]
    prompt_ids: Option<Ids>,

    /// Token ids to score
    #[arg(long, value_name = "4,5", requires = "prompt_ids")]
    answer_ids: Option<Ids>,

    /// Samples; more of them make the standard error smaller
    #[arg(long, value_name = "N", default_value_t = ScoreConfig::default().mc_num)]
    mc_num: usize,

    /// Scale of classifier-free guidance; 0 is none
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    cfg_scale: f32,

    /// form-a: each token masked with a random probability; form-b: a random number of tokens masked, far less variance;
    /// confidence: tokens revealed one by one, the most probable first, as iLLaDA scores options: exact, and no bound;
    /// left-to-right: each token given those before it, the chain rule: exact for this order
    #[arg(long, value_enum, default_value = "form-b")]
    estimator: EstimatorArg,

    /// Seed of the masks
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    model: ModelArgs,

    /// Print one JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum EstimatorArg {
    #[value(name = "form-a")]
    IndependentMasks,
    #[value(name = "form-b")]
    StratifiedCounts,
    Confidence,
    LeftToRight,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    score: Score,
    prompt_tokens: usize,
    answer_tokens: usize,
    seconds: f64,
    load_seconds: f64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut session = Session::open(&args.model)?;
    let (prompt, answer) = match (&args.prompt, &args.answer, args.prompt_ids, args.answer_ids) {
        (Some(prompt), Some(answer), _, _) => session.model.tokenizer()?.encode_pair(prompt, answer)?,
        (_, _, Some(Ids(prompt)), Some(Ids(answer))) => (prompt, answer),
        _ => return Err(usage("nothing to score\nhint: --prompt TEXT --answer TEXT")),
    };
    if answer.is_empty() {
        return Err(usage("the answer has no tokens\nhint: give it with --answer TEXT or --answer-ids 4,5"));
    }
    let estimator = match args.estimator {
        EstimatorArg::IndependentMasks => Estimator::IndependentMasks,
        EstimatorArg::StratifiedCounts => Estimator::StratifiedCounts,
        EstimatorArg::Confidence => Estimator::Confidence,
        EstimatorArg::LeftToRight => Estimator::LeftToRight,
    };
    let config = ScoreConfig {
        mc_num: args.mc_num,
        cfg_scale: args.cfg_scale,
        estimator,
        seed: args.seed,
        ..ScoreConfig::default()
    };
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(args.mc_num as u64).with_message("samples");
    let start = Instant::now();
    let score = session.model.engine_mut().score(&prompt, &answer, &config, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        interrupt::check()
    });
    bar.finish_and_clear();
    let report = Report {
        score: score?,
        prompt_tokens: prompt.len(),
        answer_tokens: answer.len(),
        seconds: start.elapsed().as_secs_f64(),
        load_seconds: session.load_seconds,
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let estimate = &report.score.estimate;
    let error = estimate.standard_error.map_or_else(|| "unknown".to_owned(), |error| format!("{error:.4}"));
    println!("log-likelihood  {:.4} nats (standard error {error})", estimate.log_likelihood);
    println!("per token       {:.4} nats, {:.4} bits", estimate.nats_per_token, estimate.bits_per_token);
    Ok(())
}
