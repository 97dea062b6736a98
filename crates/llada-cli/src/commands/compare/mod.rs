//! `llada compare`: the loss of quality and the gain of speed by a cache or a decoder.

mod measure;
mod picture;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context;
use clap::ArgGroup;
use indicatif::{ProgressBar, ProgressStyle};
use llada_core::rng::Noise;
use llada_infer::{Algorithm, CacheConfig, DecoderConfig, Request, SamplerConfig};
use llada_model::Message;
use llada_tasks::{ALL, Example, Split, mixture};
use serde::{Deserialize, de::IgnoredAny};

use self::measure::{Comparison, Side};
use crate::{
    args::{ModelArgs, SamplerArgs},
    exit::usage,
    file::{check_writable, read_text, write_whole},
    session::Session,
};

/// Compare a cache and a decoder with the sampler that they speed up
///
/// The same prompts are answered twice: as the options say, and by the plain sampler: a number of tokens a step that is
/// settled in advance, everything computed anew. All other options are the same.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["prompts", "tasks"]))]
#[command(after_help = "Examples:
  llada compare --model DIR --tasks 50 --gen-length 32 --decoder threshold
  llada compare --model DIR --prompts prompts.jsonl --gen-length 256 --block-length 32 --algorithm fast_dual_cache --json")]
pub(crate) struct Args {
    /// File with a {\"prompt\": TEXT} or a {\"messages\": [...]} a line; of messages, those before the first answer count
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,

    /// Instead of prompts, so many held-out examples of each checkable task, whose answers are checked
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,

    #[command(flatten)]
    sampler: SamplerArgs,

    #[command(flatten)]
    model: ModelArgs,

    /// Print one JSON object: vanilla and compared (nfe, tokens_per_forward, seconds, accuracy, interval),
    /// token_agreement, mean_kl, agreement_by_position
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Draw the agreement by position
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    picture: Option<PathBuf>,
}

/// A line of a file of prompts.
#[derive(Deserialize)]
struct Line {
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    /// Keys that are not read.
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// A prompt, with the example that checks its answer if there is one.
struct Question {
    prompt: Vec<u32>,
    example: Option<Example>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let compared = args.sampler.config(Algorithm::Vanilla)?;
    let vanilla =
        SamplerConfig { decoder: DecoderConfig::Schedule, cache: CacheConfig::None, max_nfe: None, ..compared.clone() };
    let mut session = Session::open(&args.model)?;
    session.warn_about(&compared);
    let asked = |prompt: Vec<u32>, place: String| {
        for config in [&vanilla, &compared] {
            let request = Request::new(prompt.as_slice(), config.clone());
            session.model.engine().validate(&request).with_context(|| place.clone())?;
        }
        Ok(prompt)
    };
    let questions = questions(&args, &session, asked)?;
    if let Some(path) = &args.picture {
        check_writable(path)?;
    }
    let cached = compared.cache != CacheConfig::None;
    let passes = if cached { 3 } else { 2 };
    // The bar is hidden if standard error is not a terminal.
    let bar = ProgressBar::new(passes * questions.len() as u64)
        .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} answers, {eta} left")?);
    let vanilla = Side::measure(&mut session, &questions, &vanilla, &bar)?;
    let mean_kl = if cached { measure::mean_kl(&mut session, &questions, &compared, &bar)? } else { 0.0 };
    let compared = Side::measure(&mut session, &questions, &compared, &bar)?;
    bar.finish_and_clear();
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

/// Reads or draws the questions. Each prompt is checked by `asked`, which receives it with its place.
fn questions(
    args: &Args,
    session: &Session,
    asked: impl Fn(Vec<u32>, String) -> anyhow::Result<Vec<u32>>,
) -> anyhow::Result<Vec<Question>> {
    if let Some(limit) = args.tasks {
        let mut questions = Vec::new();
        for (task, example) in mixture(&ALL, Split::HeldOut, Noise::new(0)).take(limit as usize * ALL.len()) {
            let prompt = session.model.tokenizer()?.encode_chat(&[Message::new("user", &example.prompt)])?;
            let prompt = asked(prompt, format!("task {}", task.name()))?;
            questions.push(Question { prompt, example: Some(example) });
        }
        return Ok(questions);
    }
    let path = args.prompts.as_deref().unwrap_or("".as_ref());
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut unread = BTreeSet::new();
    let mut questions = Vec::new();
    for (index, line) in lines {
        let refuse = |message: &str| usage(format!("{}:{}: {message}", path.display(), index + 1));
        let line: Line = serde_json::from_str(line).map_err(|e| refuse(&e.to_string()))?;
        unread.extend(line.others.into_keys());
        let prompt = match (line.prompt, line.messages) {
            (Some(prompt), None) => session.model.tokenizer()?.encode(&prompt)?,
            (None, Some(messages)) => {
                let before = messages.iter().position(|message| message.role == "assistant").unwrap_or(messages.len());
                session.model.tokenizer()?.encode_chat(&messages[..before])?
            }
            _ => return Err(refuse("a line has exactly one of prompt and messages")),
        };
        let prompt = asked(prompt, format!("{}:{}", path.display(), index + 1))?;
        questions.push(Question { prompt, example: None });
    }
    if !unread.is_empty() {
        let unread = unread.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!("warning: {}: not read: {unread}; options come from the command line", path.display());
    }
    if questions.is_empty() {
        return Err(usage(format!("{} has no prompts\nhint: each line is {{\"prompt\": \"...\"}}", path.display())));
    }
    Ok(questions)
}
