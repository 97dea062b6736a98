//! `llada data prepare`: conversion of text to shards of tokens.

use std::{fs, path::PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use llada_model::Tokenizer;
use llada_train::data::prepare::{self, Options, Remarks, prepare};

use crate::exit::usage;

/// Prepare data for training
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Prepare(Args),
}

/// Tokenise text into checksummed shards
///
/// Documents are ended by EOS. Files may be lines of JSON or parquet, and a folder stands for those in it, as Spark, Ray and
/// datatrove write them. Of a chat, every answer of the assistant becomes a record for `llada sft`, with all that
/// was said before as its prompt; an answer is what the chat template makes of it, its end of turn included. A mask that
/// the text spells is read as text. What is left out is told.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  llada data prepare --input book.txt --tokenizer tokenizer --out data
  llada data prepare --input chats.jsonl --format chat --tokenizer tokenizer --max-length 256 --out chats
  llada data prepare --input tokens --format datatrove --tokenizer tokenizer --out data")]
pub(crate) struct Args {
    /// Files to read, or folders of them
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    input: Vec<PathBuf>,

    /// What the files are
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Folder of the tokenizer
    #[arg(long, value_name = "DIR")]
    tokenizer: PathBuf,

    /// Longest record of a chat, in tokens; longer ones are left out
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_length: usize,

    /// Shortest answer of a chat, in tokens; shorter ones are padded with EOS. Give the gen_length that will be asked for
    #[arg(long, value_name = "N", default_value_t = 1)]
    answer_length: usize,

    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text; each file is a document
    Text,
    /// One {"text": ...} a line, or a row of parquet, each a document; or chats, each a document of its messages
    Jsonl,
    /// One {"messages": [{"role": ..., "content": ...}, ...]} a line, or a row of parquet
    Chat,
    /// Ids that datatrove has written with the same tokenizer: NAME.ds beside NAME.ds.index
    Datatrove,
}

impl From<Format> for prepare::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Jsonl => Self::Jsonl,
            Format::Chat => Self::Chat,
            Format::Datatrove => Self::Datatrove,
        }
    }
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Prepare(args) = command;
    let tokenizer = Tokenizer::open(&args.tokenizer)?.ok_or_else(|| {
        usage(format!("{} has no tokenizer.json\nhint: llada tokenizer train", args.tokenizer.display()))
    })?;
    let files = prepare::inputs(&args.input, args.format.into())?;
    let mut bytes = 0;
    for path in &files {
        bytes += fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    }
    let bar = ProgressBar::new(bytes)
        .with_style(ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {eta} left")?);
    let options =
        Options { format: args.format.into(), max_length: args.max_length, answer_length: args.answer_length };
    let mask = tokenizer.mask().to_owned();
    let prepared = prepare(&files, options, tokenizer, &args.out, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    let what = if matches!(args.format, Format::Chat) { "record" } else { "document" };
    let plural = if prepared.items == 1 { "" } else { "s" };
    eprintln!("{} {what}{plural} in {}", prepared.items, args.out.display());
    if prepared.too_long > 0 {
        eprintln!("{} records of more than {} tokens were left out", prepared.too_long, args.max_length);
    }
    tell(&prepared.remarks, &mask);
    Ok(())
}

/// Prints what was left out, and the special tokens that were found in the text.
fn tell(remarks: &Remarks, mask: &str) {
    let tell_count = |count: u64, what: &str, why: &str| {
        if count > 0 {
            eprintln!("{what}: {count}{why}");
        }
    };
    let roles: Vec<String> = remarks.unknown_roles.iter().map(|(role, count)| format!("{role:?} in {count}")).collect();
    let known = "system, developer, user, assistant and tool are known";
    let roles = format!(" ({})\nhint: {known}; rename yours", roles.join(", "));
    tell_count(remarks.of_unknown_roles, "conversations left out for unknown roles", &roles);
    tell_count(remarks.without_answer, "conversations left out without an answer of the assistant", "");
    let why = "; the chat template does not write them on from their prompts";
    tell_count(remarks.not_rendered, "answers taken as their content and an end of turn", why);
    let why = format!("; {mask} was read as text, not as the mask");
    tell_count(remarks.masks, "masks spelled in the text", &why);
    tell_count(remarks.ends, "ends of text spelled in the text", "; it ends there for the model too");
}
