//! Commands that write a checkpoint, shard by shard: their progress, and what they say of the result.

use std::path::Path;

use indicatif::ProgressBar;

use crate::{exit::Interrupted, interrupt};

/// Runs `write` with a bar of the shards that it has written, until Ctrl-C. `write` calls its argument with their number and
/// that of all.
pub(crate) fn with_progress<T>(
    write: impl FnOnce(&mut dyn FnMut(usize, usize) -> anyhow::Result<()>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // The bar is hidden if standard error is not a terminal.
    let bar = ProgressBar::new(0).with_message("shards");
    let written = write(&mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        if interrupt::check().is_break() { Err(Interrupted.into()) } else { Ok(()) }
    })?;
    bar.finish_and_clear();
    Ok(written)
}

/// Returns the folder and the size of its weights, as text.
pub(crate) fn size(folder: &Path) -> anyhow::Result<String> {
    let bytes = llada_model::Weights::open(folder)?.file_bytes();
    Ok(format!("{} ({:.1} MB)", folder.display(), bytes as f64 / 1e6))
}
