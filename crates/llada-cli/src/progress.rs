//! How far work on many things is.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `count` things that are called `what`. It is hidden if standard error is not a terminal.
pub(crate) fn bar(count: usize, what: &str) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!("{{wide_bar}} {{pos}}/{{len}} {what}, {{eta}} left"))?;
    Ok(ProgressBar::new(count as u64).with_style(style))
}
