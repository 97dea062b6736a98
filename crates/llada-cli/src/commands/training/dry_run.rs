//! `llada sft --dry-run`: the first batch as text, and what the data has.

use indicatif::{ProgressBar, ProgressStyle};
use llada_model::Tokenizer;
use llada_train::{
    config::RunConfig,
    preview::{Preview, PreviewRow, preview},
};

use crate::{exit::Interrupted, interrupt};

/// From how many equal tokens in a row on they are shown once, with their number.
const REPEATED: usize = 4;

pub(super) fn run(config: &RunConfig) -> anyhow::Result<()> {
    let tokenizer = config.tokenizer_folder().map(Tokenizer::open).transpose()?.flatten();
    let bar = ProgressBar::no_length()
        .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} records, {eta} left")?);
    let found = preview(config, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        interrupt::check()
    })?;
    bar.finish_and_clear();
    let Some(Preview { rows, tally }) = found.continue_value() else { return Err(Interrupted.into()) };
    if let Some(tally) = tally {
        println!("{} records, {} left out", tally.records, tally.left_out());
        for reason in tally.reasons() {
            println!("  {reason}");
        }
    }
    println!("step 1: {} rows; «may be masked», ⟦is masked⟧", rows.len());
    for (number, row) in (1..).zip(&rows) {
        let count = |tokens: &[bool]| tokens.iter().filter(|&&token| token).count();
        let (learned, masked) = (count(&row.maskable), count(&row.masked));
        println!("\nrow {number}: {} tokens, {learned} may be masked, {masked} are", row.ids.len());
        println!("{}", text(row, tokenizer.as_ref()));
    }
    Ok(())
}

/// The text of a row, with marks around what may be masked and around what is.
fn text(row: &PreviewRow, tokenizer: Option<&Tokenizer>) -> String {
    let mut shown = String::new();
    let mut start = 0;
    while start < row.ids.len() {
        let kind = |token: usize| (row.maskable[token], row.masked[token]);
        let end = (start..row.ids.len()).find(|&token| kind(token) != kind(start)).unwrap_or(row.ids.len());
        let part = words(&row.ids[start..end], tokenizer);
        shown += &match kind(start) {
            (_, true) => format!("⟦{part}⟧"),
            (true, false) => format!("«{part}»"),
            (false, false) => part,
        };
        start = end;
    }
    shown
}

/// The text of tokens in one line, or their ids without a tokenizer.
fn words(ids: &[u32], tokenizer: Option<&Tokenizer>) -> String {
    let spelled = |ids: &[u32]| match tokenizer.and_then(|tokenizer| tokenizer.decode_with_special(ids).ok()) {
        Some(text) => text.replace('\n', "⏎"),
        None => ids.iter().map(|id| format!("{id} ")).collect(),
    };
    let mut shown = String::new();
    let (mut plain, mut start) = (0, 0);
    for run in ids.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if run.len() >= REPEATED {
            shown += &spelled(&ids[plain..start]);
            shown += &format!("{}×{}", spelled(&run[..1]), run.len());
            plain = end;
        }
        start = end;
    }
    shown + &spelled(&ids[plain..])
}
