//! Progress output: bars on a terminal, and a line on stdout for each finished file.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::listing::File;

pub(crate) struct Progress {
    bars: MultiProgress,
    total: ProgressBar,
    style: ProgressStyle,
    files: usize,
    done: AtomicUsize,
}

/// The bar of one file, whose bytes also count in the total.
pub(crate) struct Bar<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
}

impl Progress {
    /// Starts the progress of a number of files and of bytes to download. Bars are drawn on stderr if it is a terminal.
    pub(crate) fn new(files: usize, bytes: u64) -> Result<Self> {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template("{msg:40!} {wide_bar} {decimal_bytes:>10}/{decimal_total_bytes:>10}")?;
        let total = ProgressStyle::with_template("{msg:40!} {wide_bar} {decimal_bytes_per_sec}, {eta} left")?;
        let total = bars.add(ProgressBar::new(bytes).with_style(total).with_message(format!("{files} files")));
        Ok(Self { bars, total, style, files, done: AtomicUsize::new(0) })
    }

    /// Starts the bar of a file, of which `have` bytes are already present.
    pub(crate) fn start(&self, file: &File, have: u64) -> Bar<'_> {
        let bar = ProgressBar::new(file.size).with_style(self.style.clone()).with_message(file.path.clone());
        let bar = self.bars.insert_before(&self.total, bar);
        bar.set_position(have);
        Bar { progress: self, bar }
    }

    pub(crate) fn finished(&self, file: &File) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // A closed stdout must not end the download.
        self.bars.suspend(|| drop(writeln!(io::stdout(), "  {done}/{} {}", self.files, file.path)));
    }
}

impl Bar<'_> {
    pub(crate) fn received(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.progress.total.inc(bytes);
    }

    /// Resets the bar after the received part of the file was discarded.
    pub(crate) fn restart(&self) {
        self.progress.total.inc_length(self.bar.position());
        self.bar.reset();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.total.finish_and_clear();
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.progress.bars.remove(&self.bar);
    }
}
