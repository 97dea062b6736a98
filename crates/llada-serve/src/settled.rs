//! The text of an answer as it settles: it only ever grows, by whole characters.

use std::sync::Arc;

use llada::{Ends, Error, Tokenizer, cut_at_stop};

/// A canvas that follows a generation's steps, and the part of its text that has been handed out.
#[derive(Debug)]
pub(crate) struct Settled {
    tokenizer: Arc<Tokenizer>,
    /// The ids that end the text, unless it is a whole canvas.
    ends: Option<Ends>,
    stops: Vec<String>,
    /// The text that has been handed out.
    text: String,
}

/// The sign that bytes decode to that are no whole character yet.
const INCOMPLETE: char = '\u{fffd}';

impl Settled {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>, ends: Option<Ends>, stops: Vec<String>) -> Self {
        Self { tokenizer, ends, stops, text: String::new() }
    }

    /// Returns what has become certain of the text, given the ids of the answer that no later step changes.
    ///
    /// Characters at the end that may be the start of a stop text, or that lack bytes, are held back.
    pub(crate) fn advance(&mut self, output: &[u32]) -> Result<String, Error> {
        let decoded = self.decode(output)?;
        let certain = cut_at_stop(&decoded, &self.stops);
        let mut end = certain.trim_end_matches(INCOMPLETE).len();
        if certain.len() == decoded.len() {
            let held = self.stops.iter().map(|stop| stop.len().saturating_sub(1)).max().unwrap_or(0);
            end = end.saturating_sub(held);
            while !certain.is_char_boundary(end) {
                end -= 1;
            }
        }
        Ok(self.hand_out(&certain[..end]))
    }

    /// Returns the rest of the text of a complete answer.
    pub(crate) fn finish(&mut self, output: &[u32]) -> Result<String, Error> {
        let decoded = self.decode(output)?;
        Ok(self.hand_out(cut_at_stop(&decoded, &self.stops)))
    }

    /// Returns the text so far of an answer that has masks, which appear as `░`.
    pub(crate) fn masked(&self, output: &[u32]) -> Result<String, Error> {
        Ok(self.tokenizer.decode_masked(self.cut(output), "░")?)
    }

    fn decode(&self, output: &[u32]) -> Result<String, Error> {
        Ok(self.tokenizer.decode(self.cut(output))?)
    }

    fn cut<'a>(&self, output: &'a [u32]) -> &'a [u32] {
        self.ends.as_ref().map_or(output, |ends| ends.cut(output))
    }

    fn hand_out(&mut self, text: &str) -> String {
        match text.strip_prefix(self.text.as_str()) {
            Some(new) => {
                let new = new.to_owned();
                self.text.push_str(&new);
                new
            }
            None => String::new(),
        }
    }
}
