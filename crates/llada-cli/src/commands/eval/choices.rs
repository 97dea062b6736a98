//! Multiple choice: the options of a question, scored under the same masks.

use anyhow::Context;
use llada_eval::{Answer, Choice, Kind, Question, Sampling, Task};
use llada_infer::{ScoreConfig, ScoreRequest};
use serde::Serialize;

use super::{args::ChoiceArgs, job, job::Progress, report::Report};
use crate::{exit::usage, interrupt, session::Session};

/// A line's account of an option.
#[derive(Serialize)]
struct ScoredOption<'a> {
    context: &'a str,
    continuation: &'a str,
    right: bool,
    log_likelihood: f64,
    standard_error: Option<f64>,
}

#[derive(Serialize)]
struct Said<'a> {
    options: Vec<ScoredOption<'a>>,
}

pub(super) fn run(task: &'static Task, args: &ChoiceArgs) -> anyhow::Result<()> {
    let config = args.config(task);
    let questions = job::questions(task, &args.job, config.seed)?;
    let mut session = Session::open(&args.model)?;
    let mut progress = Progress::open(&session, &args.job, &config, &questions)?;
    for (index, (place, question)) in questions.iter().enumerate().skip(progress.finished()) {
        if let (Question::Choice(choice), Kind::Choice { metrics, .. }) = (question, task.kind) {
            // Questions of one seed would share their noise.
            let config = ScoreConfig { seed: config.seed.wrapping_add(index as u64), ..config.clone() };
            let (options, nfe) = score(&mut session, choice, &config).with_context(|| place.clone())?;
            let log_likelihoods: Vec<f64> = options.iter().map(|option| option.log_likelihood).collect();
            let marks = choice.score(metrics, &log_likelihoods)?;
            progress.add(Said { options }, marks, nfe)?;
        }
    }
    let sampling =
        |sampling| matches!(sampling, Sampling::Likelihood { cfg_scale, .. } if cfg_scale == config.cfg_scale);
    Report::new(task, &args.job, progress, &config, sampling).print(args.job.json)
}

/// The options with their likelihoods, and the forwards that they took together.
fn score<'a>(
    session: &mut Session,
    choice: &'a Choice,
    config: &ScoreConfig,
) -> anyhow::Result<(Vec<ScoredOption<'a>>, usize)> {
    let encode = |option: &Answer| {
        let (prompt, answer) = session.encode_pair(&option.context, &option.continuation)?;
        match answer.is_empty() {
            true => Err(usage(format!("option {:?} has no tokens", option.continuation))),
            false => Ok(ScoreRequest::new(prompt, answer)),
        }
    };
    let requests = choice.options.iter().map(encode).collect::<anyhow::Result<Vec<_>>>()?;
    let scores = session.engine.score_options(&requests, config, |_, _| interrupt::check())?;
    let nfe = scores.iter().map(|score| score.nfe).max().unwrap_or_default();
    let options = choice.options.iter().zip(scores).map(|(option, score)| ScoredOption {
        context: &option.context,
        continuation: &option.continuation,
        right: option.right,
        log_likelihood: score.estimate.log_likelihood,
        standard_error: score.estimate.standard_error,
    });
    Ok((options.collect(), nfe))
}
