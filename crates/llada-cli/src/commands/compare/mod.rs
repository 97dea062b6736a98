//! `llada compare`: what a cache, a suffix window, a decoder, a constraint or drafts change in quality and in speed.

mod measure;
mod picture;
mod sampler;

use std::path::PathBuf;

use anyhow::Context;
use clap::ArgGroup;
use llada_infer::{Algorithm, CacheConfig, DecoderConfig, SamplerConfig};
use llada_tasks::Split;

use self::{
    measure::{Comparison, Side},
    sampler::{Sampler, requests},
};
use crate::{
    args::{ConstraintArgs, FilterArgs, GraphArgs, ModelArgs, SamplerArgs},
    commands::questions,
    file::{check_writable, write_whole},
    progress,
    session::Session,
};

/// Compare a cache, a suffix window, a decoder or a constraint with the sampler without it
///
/// The same prompts are answered twice: as the options say, and by the plain sampler: a number of tokens a step that is
/// settled in advance, everything seen and computed anew, no budget of forwards, no constraint. All other options are
/// the same. With --draft-length it is drafting alone that is compared: the plain sampler has all options of the other
/// one, the constraint included, and drafts nothing. The mean divergence is always that from predictions without cache
/// and window.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["prompts", "tasks"]))]
#[command(after_help = "Examples:
  llada compare --model DIR --tasks 50 --gen-length 32 --decoder threshold
  llada compare --model DIR --tasks 50 --gen-length 32 --steps 4 --constrain
  llada compare --model DIR --tasks 50 --gen-length 32 --cache dual --draft-length 4
  llada compare --model DIR --tasks 50 --gen-length 128 --block-length 8 --suffix-window 16
  llada compare --model DIR --prompts prompts.jsonl --gen-length 256 --block-length 32 --algorithm fast_dual_cache --json")]
pub(crate) struct Args {
    /// File with a {\"prompt\": TEXT} or a {\"messages\": [...]} a line; of messages, those before the first answer count
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,

    /// Instead of prompts, so many held-out examples of each checkable task, whose answers are checked
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,

    /// Constrain the compared answers to the form that their questions prescribe, such as a grid of digits; only the tasks
    /// whose questions do so are asked
    #[arg(long, conflicts_with_all = ["prompts", "pattern"], help_heading = "Constraint")]
    constrain: bool,

    #[command(flatten)]
    constraint: ConstraintArgs,

    #[command(flatten)]
    sampler: SamplerArgs,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,

    /// Print one JSON object: vanilla and compared (nfe, states, tokens_per_forward, seconds, accuracy, interval, and under a
    /// constraint valid, the share of answers that satisfy it, and forced, the tokens that took no forward),
    /// token_agreement, same_answers, mean_kl, agreement_by_position
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Draw the agreement by position
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    picture: Option<PathBuf>,
}

/// Returns the options of the plain sampler.
fn plain(config: &SamplerConfig) -> SamplerConfig {
    let SamplerConfig { suffix_window, suffix_trailing, suffix_dropout, max_nfe, .. } = SamplerConfig::default();
    SamplerConfig {
        decoder: DecoderConfig::Schedule,
        cache: CacheConfig::None,
        suffix_window,
        suffix_trailing,
        suffix_dropout,
        max_nfe,
        ..config.clone()
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.sampler.config(Algorithm::Vanilla)?;
    let filter = args.filter.read(&config)?;
    let pattern = args.constraint.pattern()?;
    let is_constrained = args.constrain || pattern.is_some();
    let vanilla = match config.draft_length {
        None => Sampler { config: plain(&config), is_constrained: false, filter: None },
        Some(_) => {
            let config = SamplerConfig { draft_length: None, ..config.clone() };
            Sampler { config, is_constrained, filter: filter.clone() }
        }
    };
    let compared = Sampler { config, is_constrained, filter };
    let mut session = Session::open_for_answers(&args.model, &args.graphs)?;
    session.warn_about(&compared.config);
    let questions = match (args.tasks, &args.prompts) {
        (None, Some(path)) => questions::of_file(&session, path, pattern.as_ref())?,
        (limit, _) => {
            questions::of_tasks(&session, Split::HeldOut, limit.unwrap_or_default(), pattern.as_ref(), args.constrain)?
        }
    };
    for sampler in [&vanilla, &compared] {
        for (question, request) in questions.iter().zip(requests(&questions, sampler)) {
            session.model.engine().validate(&request).with_context(|| question.place.clone())?;
        }
    }
    if let Some(path) = &args.picture {
        check_writable(path)?;
    }
    let is_exact = compared.config.cache == CacheConfig::None && compared.config.suffix_window.is_none();
    let passes = if is_exact { 2 } else { 3 };
    let bar = progress::bar(passes * questions.len(), "answers")?;
    let vanilla = Side::measure(&mut session, &questions, &vanilla, &bar)?;
    let mean_kl = if is_exact { 0.0 } else { measure::mean_kl(&mut session, &questions, &compared, &bar)? };
    let compared = Side::measure(&mut session, &questions, &compared, &bar)?;
    bar.finish_and_clear();
    session.note_graphs();
    let comparison = Comparison::new(vanilla, compared, mean_kl, &session);
    if let Some(path) = &args.picture {
        write_whole(path, |file| picture::draw(&comparison, file))?;
    }
    if args.json {
        println!("{}", serde_json::to_string(&comparison)?);
    } else {
        comparison.print();
    }
    Ok(())
}
