//! Texts that end an answer.

use std::{fmt, sync::Arc};

use llada_infer::Stop;
use llada_model::Tokenizer;

/// A [`Stop`] at the first block in which an answer's text holds one of some texts, special tokens spelled out.
#[derive(Clone)]
pub struct StopTexts {
    tokenizer: Arc<Tokenizer>,
    texts: Vec<String>,
}

impl StopTexts {
    /// Stops at any of `texts`, in the text of this tokenizer.
    pub fn new(tokenizer: Arc<Tokenizer>, texts: Vec<String>) -> Self {
        Self { tokenizer, texts }
    }
}

/// Returns `text` up to the first of `stops` in it.
pub fn cut_at_stop<'a>(text: &'a str, stops: &[String]) -> &'a str {
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str()));
    &text[..found.min().unwrap_or(text.len())]
}

impl Stop for StopTexts {
    fn is_reached(&self, output: &[u32]) -> bool {
        // Ids that cannot be decoded hold no text to stop at; their answer's text is the error.
        let text = self.tokenizer.decode_with_special(output).unwrap_or_default();
        cut_at_stop(&text, &self.texts).len() < text.len()
    }
}

impl fmt::Debug for StopTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopTexts").field(&self.texts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_the_first_of_its_stops() {
        let stops = ["b", "cd", ""].map(str::to_owned);
        assert_eq!(cut_at_stop("acdb", &stops), "a");
        assert_eq!(cut_at_stop("acb", &stops), "ac");
        assert_eq!(cut_at_stop("ac", &stops), "ac");
    }
}
