//! Multiple-choice benchmarks. The options of a question are scored under the same masks.

use anyhow::Context;
use llada_eval::{AnswerOption, Benchmark, Choice, Question, Sampling, TaskKind};
use llada_infer::{Estimator, Score, ScoreConfig, ScoreRequest};
use serde::Serialize;

use super::{args::ChoiceArgs, job, job::Progress, report::Report};
use crate::{exit::usage, interrupt, session::Session};

/// An option in the results file.
#[derive(Serialize)]
struct ScoredOption<'a> {
    context: &'a str,
    continuation: &'a str,
    right: bool,
    log_likelihood: f64,
    standard_error: Option<f64>,
}

#[derive(Serialize)]
struct SampleRecord<'a> {
    options: Vec<ScoredOption<'a>>,
}

pub(super) fn run(task: &'static Benchmark, args: &ChoiceArgs) -> anyhow::Result<()> {
    let config = args.config(task);
    let questions = job::questions(task, &args.job, config.seed)?;
    let mut session = Session::open(&args.model)?;
    let mut encoded = Vec::with_capacity(questions.len());
    for (place, question) in &questions {
        let mut options = Vec::new();
        if let Question::Choice(choice) = question {
            for option in &choice.options {
                options.push(encode(&session, option).with_context(|| place.clone())?);
            }
        }
        encoded.push(options);
    }
    let validate = |index: usize| session.model.engine().validate_options(&encoded[index], &config);
    job::check(&questions, args.job.num_fewshot(task), validate)?;
    let mut progress = Progress::open(&session, &args.job, &config, &questions)?;
    for (index, (place, question)) in questions.iter().enumerate().skip(progress.finished()) {
        if let (Question::Choice(choice), TaskKind::Choice { metrics, .. }) = (question, task.kind) {
            // With the same seed, all questions would share their noise.
            let config = ScoreConfig { seed: config.seed.wrapping_add(index as u64), ..config.clone() };
            let scores = session.model.engine_mut().score_options(&encoded[index], &config, |_, _| interrupt::check());
            let scores = scores.with_context(|| place.clone())?;
            let log_likelihoods: Vec<f64> = scores.iter().map(|score| score.estimate.log_likelihood).collect();
            let marks = choice.score(metrics, &log_likelihoods)?;
            let nfe = scores.iter().map(|score| score.nfe).max().unwrap_or_default();
            progress.add(SampleRecord { options: scored(choice, &scores) }, marks, nfe)?;
        }
    }
    let sampling = |sampling| match sampling {
        Sampling::Likelihood { cfg_scale, .. } => {
            config.estimator == Estimator::StratifiedCounts && cfg_scale == config.cfg_scale
        }
        Sampling::Confidence => config.estimator == Estimator::Confidence,
        _ => false,
    };
    Report::new(task, &args.job, progress, &config, sampling).print(args.job.json)
}

fn encode(session: &Session, option: &AnswerOption) -> anyhow::Result<ScoreRequest> {
    let (prompt, answer) = session.model.tokenizer()?.encode_pair(&option.context, &option.continuation)?;
    if answer.is_empty() {
        return Err(usage(format!("option {:?} has no tokens", option.continuation)));
    }
    Ok(ScoreRequest::new(prompt, answer))
}

fn scored<'a>(choice: &'a Choice, scores: &[Score]) -> Vec<ScoredOption<'a>> {
    let mut scored = Vec::with_capacity(scores.len());
    for (option, score) in choice.options.iter().zip(scores) {
        scored.push(ScoredOption {
            context: &option.context,
            continuation: &option.continuation,
            right: option.right,
            log_likelihood: score.estimate.log_likelihood,
            standard_error: score.estimate.standard_error,
        });
    }
    scored
}
