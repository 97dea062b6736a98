//! `llada eval tiny`: the share of correct answers to held-out examples of the checkable tasks.

use std::time::Instant;

use llada_core::{confidence::Remasking, rng::Noise};
use llada_infer::{Continuation, DecoderKind, Generation, InferError, Request, SamplerConfig};
use llada_model::Message;
use llada_tasks::{ALL, Evaluation, GEN_LENGTH, Split, mixture};
use serde::Serialize;

use crate::{
    args::{GraphArgs, ModelArgs, named},
    exit::hinted,
    interrupt, progress,
    session::Session,
};

/// The number of prompts in a batch.
const BATCH: usize = 16;

/// Exact match on held-out examples of the tasks that llada-tiny is trained on
///
/// Every task is asked through the chat template and answered on a canvas of 32 tokens; what stands before the end of
/// the turn is checked. Fewer steps than tokens show what speed costs. The autoregressive baseline answers greedily, a
/// token a forward, and has no use for the options of sampling.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  llada eval tiny --model DIR
  llada eval tiny --model DIR --steps 8 --remasking random --limit 50 --json")]
pub(crate) struct Args {
    /// Examples of each task
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Denoising steps over an answer, one a block at least [default: one a token]
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    steps: Option<usize>,

    /// Tokens of a block: blocks are decoded from left to right, each by diffusion [default: the whole answer]
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    block_length: Option<usize>,

    /// Which predictions to keep at each step: low_confidence, random, margin or entropy
    #[arg(
        long,
        value_name = "MEASURE",
        default_value_t = Remasking::LowConfidence,
        value_parser = named::<Remasking>,
        help_heading = "Sampling"
    )]
    remasking: Remasking,

    /// Which of a step's predictions become tokens: any decoder of `llada generate`
    #[arg(
        long,
        value_name = "NAME",
        default_value_t = DecoderKind::Schedule,
        value_parser = named::<DecoderKind>,
        help_heading = "Sampling"
    )]
    decoder: DecoderKind,

    /// Seed of the examples, and of the noise that random remasking draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,

    /// Print one JSON object: exact_match and interval by task, mean_exact_match, nfe, tokens_per_forward, seconds
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl Args {
    fn config(&self) -> SamplerConfig {
        SamplerConfig {
            steps: self.steps,
            gen_length: GEN_LENGTH,
            block_length: self.block_length,
            remasking: self.remasking,
            decoder: self.decoder.into(),
            seed: self.seed,
            ..SamplerConfig::default()
        }
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// The time of sampling, without loading.
    seconds: f64,
}

impl Report {
    fn print(&self) {
        let Self { evaluation, seconds } = self;
        println!("{:<15} {:>8}  95 % interval", "task", "exact");
        for (task, tally) in &evaluation.tallies {
            let [low, high] = tally.interval().map(|bound| 100.0 * bound);
            println!("{task:<15} {:>6.1} %  {low:.1} to {high:.1} %", 100.0 * tally.exact_match());
        }
        println!("{:<15} {:>6.1} %", "mean", 100.0 * evaluation.mean_exact_match());
        let tokens_per_forward = evaluation.tokens_per_forward();
        println!("{} forwards, {tokens_per_forward:.2} tokens a forward, {seconds:.1} s", evaluation.nfe);
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let mut session = Session::open_any(&args.model, &args.graphs)?;
    let count = args.limit as usize * ALL.len();
    let examples: Vec<_> = mixture(&ALL, Split::HeldOut, Noise::new(args.seed)).take(count).collect();
    let mut prompts = Vec::with_capacity(count);
    for (_, example) in &examples {
        prompts.push(session.model.tokenizer()?.encode_chat(&[Message::new("user", &example.prompt)])?);
    }
    let requests = Request::for_each(&prompts, &args.config());
    if !session.model.is_causal() {
        for request in &requests {
            session.model.engine().validate(request).map_err(|error| match error {
                InferError::TooLong { .. } => hinted(&error, "ask a model of a greater max_sequence_length"),
                other => other.into(),
            })?;
        }
    }
    let bar = progress::bar(count, "answers")?;
    let start = Instant::now();
    let mut evaluation = Evaluation::default();
    for (examples, requests) in examples.chunks(BATCH).zip(requests.chunks(BATCH)) {
        for ((task, example), answer) in examples.iter().zip(answer(&mut session, requests)?) {
            let text = session.turn_text(&answer.output)?;
            evaluation.add(task.name(), example.check(&text), answer.nfe, answer.tokens);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    session.note_graphs();
    let report = Report { evaluation, seconds: start.elapsed().as_secs_f64() };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// The answer to a prompt, and its cost.
struct Answer {
    output: Vec<u32>,
    nfe: usize,
    tokens: usize,
}

/// Answers `requests`. The autoregressive baseline uses their prompts only.
fn answer(session: &mut Session, requests: &[Request]) -> anyhow::Result<Vec<Answer>> {
    if session.model.is_causal() {
        let prompts: Vec<Vec<u32>> = requests.iter().map(|request| request.prompt.clone()).collect();
        let answers = session.model.engine_mut().continue_greedily(&prompts, GEN_LENGTH, interrupt::check)?;
        let answer = |Continuation { output, nfe, .. }| Answer { tokens: output.len(), output, nfe };
        return Ok(answers.into_iter().map(answer).collect());
    }
    let answers = session.model.engine_mut().generate_batch(requests, |_| interrupt::check())?;
    let answer = |answer: Generation| Answer { tokens: answer.committed(), nfe: answer.nfe, output: answer.output };
    Ok(answers.into_iter().map(answer).collect())
}
