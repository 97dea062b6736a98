//! `llada generate`: the answer to one prompt.

use std::{
    io::{IsTerminal, stderr},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::ArgGroup;
use llada_infer::Request;
use llada_model::Message;

use crate::{
    args::{ConstraintArgs, FilterArgs, GraphArgs, HoleArgs, Ids, ModelArgs, SamplerArgs, filtered},
    exit::usage,
    file::write_whole,
    interrupt,
    patterns::Patterns,
    picture,
    report::Report,
    session::Session,
    watch::Watch,
};

/// Generate an answer to a prompt
///
/// The answer starts as masks. Each step predicts all of them and keeps the most confident. A prompt may hold masks
/// of its own (<|mdm_mask|> in text, the mask's id in ids): they are filled too.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  llada generate --model DIR --prompt 'The capital of France is' --gen-length 32 --watch
  llada generate --model DIR --chat 'What is 2 + 3?' --steps 64 --gen-length 128 --block-length 32
  llada generate --model DIR --prompt 'Paris is the <|mdm_mask|> of France.' --gen-length 0
  llada generate --model DIR --chat 'Is the sky blue?' --choice Yes --choice No --steps 1")]
pub(crate) struct Args {
    #[command(flatten)]
    prompt: PromptArgs,

    #[command(flatten)]
    sampler: SamplerArgs,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    constraint: ConstraintArgs,

    #[command(flatten)]
    holes: HoleArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,

    /// End the answer at the first block that holds this text, and cut it there; may be given several times
    #[arg(long, value_name = "TEXT", help_heading = "Sampling")]
    stop: Vec<String>,

    /// Show the denoising step by step, masks turning into tokens
    #[arg(long, help_heading = "Output")]
    watch: bool,

    /// Print one JSON object: output_ids, text, finish_reason, prompt_tokens, nfe, seconds, tokens_per_second, load_seconds,
    /// peak_rss_mb; under a constraint forced (tokens that took no forward) and log_mass
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Write which token was committed when and how sure it was: as JSON, or as a picture if FILE ends in .svg
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    trace: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Prompt")]
#[command(group = ArgGroup::new("one_prompt").required(true).args(["prompt", "prompt_ids", "chat"]))]
#[group(skip)]
struct PromptArgs {
    /// Text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Token ids to continue
    #[arg(long, value_name = "1,2,3")]
    prompt_ids: Option<Ids>,

    /// What the user says, in the model's chat template
    #[arg(long, value_name = "TEXT")]
    chat: Option<String>,

    /// What the system says before it
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
}

impl PromptArgs {
    fn encode(self, session: &Session) -> anyhow::Result<Vec<u32>> {
        match self {
            Self { prompt: Some(text), .. } => Ok(session.model.tokenizer()?.encode(&text)?),
            Self { prompt_ids: Some(Ids(ids)), .. } => Ok(ids),
            Self { chat: Some(text), system, .. } => {
                let system = system.map(|text| Message::new("system", text));
                let messages: Vec<Message> = system.into_iter().chain([Message::new("user", text)]).collect();
                Ok(session.model.tokenizer()?.encode_chat(&messages)?)
            }
            _ => Err(usage("no prompt\nhint: --prompt TEXT, --prompt-ids 1,2,3 or --chat TEXT")),
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.sampler.config(args.model.algorithm()?)?;
    let patterns = Patterns { answer: args.constraint.pattern()?, holes: args.holes.patterns() };
    let mut session = Session::open_for_answers(&args.model, &args.graphs)?;
    let request = Request::new(args.prompt.encode(&session)?, config);
    let request = session.model.with_stop_texts(request, &args.stop)?;
    let request = patterns.constrain(&session.model, request)?;
    let filter = args.filter.read(&request.config)?;
    let request = filtered(request, filter.as_ref());
    session.model.engine().validate(&request)?;
    session.warn_about(&request.config);
    let tokenizer = session.model.tokenizer().ok().cloned();
    let mut watch = args.watch.then(|| Watch::new(tokenizer.as_deref(), session.model.mask_id(), &request));
    let start = Instant::now();
    let answers = session.model.engine_mut().generate_batch(&[request], |progress| {
        if let Some(watch) = &mut watch {
            watch.show(progress);
        }
        interrupt::check()
    });
    let seconds = (start.elapsed() - watch.map_or(Duration::ZERO, |watch| watch.paused)).as_secs_f64();
    for answer in answers? {
        if let Some(path) = &args.trace {
            write_whole(path, |file| match path.extension() {
                Some(extension) if extension == "svg" => picture::draw(tokenizer.as_deref(), &answer.trace, file),
                _ => Ok(serde_json::to_writer_pretty(file, &answer.trace)?),
            })?;
        }
        let report = Report::new(&session, &answer, &args.stop, seconds)?;
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{}", report.shown());
            if stderr().is_terminal() || args.watch {
                eprintln!("{}", report.cost());
            }
        }
    }
    session.note_graphs();
    Ok(())
}
