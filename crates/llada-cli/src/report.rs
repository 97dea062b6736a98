//! The report on an answer: its text, and the time and memory it took.

use llada_infer::Generation;
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

use crate::session::Session;

/// The JSON object that `generate --json` prints and that `batch` writes for each request.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The ids of the answer.
    output_ids: Vec<u32>,
    /// The text of the answer up to its end-of-text token, or null without a tokenizer.
    text: Option<String>,
    /// The ids of the prompt with its masks filled, if it had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    filled_prompt_ids: Option<Vec<u32>>,
    /// The text of the filled prompt. It is not cut at end-of-text tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    filled_prompt: Option<String>,
    /// Why the text is no longer: `stop` if an end of the text or a stop text follows it, otherwise `length`.
    finish_reason: &'static str,
    prompt_tokens: usize,
    nfe: usize,
    /// The number of tokens that the constraint left no choice in.
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<usize>,
    /// How probable a valid answer was without the constraint, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_mass: Option<f64>,
    /// The time of sampling, without loading.
    seconds: f64,
    tokens_per_second: f64,
    load_seconds: f64,
    peak_rss_mb: f64,
}

impl Report {
    /// Creates the report of `answer`, which was sampled in `seconds`. Its text ends at the first of `stops`.
    pub(crate) fn new(session: &Session, answer: &Generation, stops: &[String], seconds: f64) -> anyhow::Result<Self> {
        let given = &answer.trace.canvas[..answer.trace.prompt_length];
        let filled = given.contains(&session.model.mask_id()).then(|| answer.prompt.clone());
        let text = session.answer_text(&answer.output)?;
        let shown = text.as_deref().map(|text| llada::cut_at_stop(text, stops).to_owned());
        let has_ended = session.model.ends().cut_at_end_of_text(&answer.output).len() < answer.output.len();
        let is_constrained = answer.forced() > 0 || answer.log_mass().is_some();
        Ok(Self {
            finish_reason: if has_ended || shown != text { "stop" } else { "length" },
            text: shown,
            output_ids: answer.output.clone(),
            filled_prompt: filled.as_deref().map(|ids| session.text(ids)).transpose()?.flatten(),
            filled_prompt_ids: filled,
            prompt_tokens: answer.prompt.len(),
            nfe: answer.nfe,
            forced: is_constrained.then(|| answer.forced()),
            log_mass: answer.log_mass(),
            seconds,
            tokens_per_second: answer.committed() as f64 / seconds.max(f64::MIN_POSITIVE),
            load_seconds: session.load_seconds,
            peak_rss_mb: peak_rss_mb(),
        })
    }

    /// Returns the text for the user: the answer, after the filled prompt if that had masks.
    pub(crate) fn shown(&self) -> String {
        let ids = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        match (&self.filled_prompt, &self.filled_prompt_ids, &self.text) {
            (Some(prompt), _, Some(text)) => format!("{prompt}{text}"),
            (None, None, Some(text)) => text.clone(),
            (_, prompt, _) => ids(&[prompt.as_deref().unwrap_or_default(), &self.output_ids].concat()),
        }
    }

    /// Returns the cost of the answer, in one line.
    pub(crate) fn cost(&self) -> String {
        let Self { nfe, seconds, tokens_per_second, peak_rss_mb, .. } = self;
        let tokens = self.output_ids.len();
        let forced = self.forced.map_or_else(String::new, |forced| format!(" ({forced} forced)"));
        format!(
            "{tokens} tokens{forced}, {nfe} forwards, {seconds:.2} s, {tokens_per_second:.1} tokens/s, {peak_rss_mb:.0} MB"
        )
    }
}

/// Returns the peak memory of the process in MB of 2^20 bytes, or 0 if the system does not report it.
pub(crate) fn peak_rss_mb() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| usage.max_rss() as f64 / 1024.0)
}
