//! Texts and ids that end an answer.

use std::{fmt, sync::Arc};

use llada_infer::Stop;
use llada_model::Tokenizer;

/// A [`Stop`] at the first block in which an answer has one of some ids, or in whose text it has one of some texts, special
/// tokens spelled out.
#[derive(Clone, Default)]
pub struct Stops {
    ids: Vec<u32>,
    /// The texts, with the tokenizer that spells the answer.
    texts: Option<(Arc<Tokenizer>, Vec<String>)>,
}

impl Stops {
    /// Stops at any of `ids`.
    pub fn at_ids(ids: Vec<u32>) -> Self {
        Self { ids, texts: None }
    }

    /// Stops at any of `texts` too, in the text of this tokenizer.
    #[must_use]
    pub fn at_texts(self, tokenizer: Arc<Tokenizer>, texts: Vec<String>) -> Self {
        Self { texts: Some((tokenizer, texts)), ..self }
    }
}

/// Returns `text` up to the first of `stops` in it.
pub fn cut_at_stop<'a>(text: &'a str, stops: &[String]) -> &'a str {
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str()));
    &text[..found.min().unwrap_or(text.len())]
}

impl Stop for Stops {
    fn is_reached(&self, output: &[u32]) -> bool {
        if output.iter().any(|id| self.ids.contains(id)) {
            return true;
        }
        let Some((tokenizer, texts)) = &self.texts else { return false };
        // Ids that cannot be decoded hold no text to stop at; their answer's text is the error.
        let text = tokenizer.decode_with_special(output).unwrap_or_default();
        cut_at_stop(&text, texts).len() < text.len()
    }
}

impl fmt::Debug for Stops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.texts.as_ref().map(|(_, texts)| texts);
        f.debug_struct("Stops").field("ids", &self.ids).field("texts", &texts).finish()
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
