//! Vocabularies from a `tokenizer.json` of Hugging Face's library `tokenizers`.

use serde::Deserialize;
use serde_json::Value;

use super::{Spelling, Vocabulary, set};
use crate::GrammarError;

/// The character that stands for a space in SentencePiece's pieces.
const SPACE: &str = "▁";

/// What is read of a tokenizer.
#[derive(Deserialize)]
struct Tokenizer {
    model: Model,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Value,
    #[serde(default)]
    merges: Option<Value>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    unk_id: Option<u32>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

impl Vocabulary {
    /// Reads the text of a `tokenizer.json`: a model `BPE` or `Unigram` whose decoder is `ByteLevel`, `Metaspace`, or a
    /// sequence that replaces `▁` by a space. Added tokens stand for their text, special ones and the unknown token for
    /// nothing. A space at the start of a text is kept, even if the decoder strips it.
    ///
    /// # Errors
    /// If the text is not such a description, or if a token's id is 2²² or more.
    pub fn from_tokenizer_json(text: &str) -> Result<Self, GrammarError> {
        let tokenizer: Tokenizer = serde_json::from_str(text).map_err(|error| GrammarError::Json(error.to_string()))?;
        let Tokenizer { model, decoder, added_tokens } = &tokenizer;
        let spelling = spelling(decoder)?;
        let mut pieces = Vec::new();
        for (id, piece) in model.pieces()? {
            let is_known = model.unk_token.as_deref() != Some(piece) && model.unk_id != Some(id);
            set(&mut pieces, id, is_known.then(|| spelling.bytes(piece)))?;
        }
        for token in added_tokens {
            set(&mut pieces, token.id, (!token.special).then(|| token.content.clone().into_bytes()))?;
        }
        Self::new(pieces)
    }
}

impl Model {
    /// Returns the pieces with their ids.
    fn pieces(&self) -> Result<Vec<(u32, &str)>, GrammarError> {
        let is_empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        if !is_empty(&self.continuing_subword_prefix) || !is_empty(&self.end_of_word_suffix) {
            return Err(refused("model", "pieces have a prefix or suffix that marks words"));
        }
        let pieces: Option<Vec<_>> = match (self.kind.as_deref(), &self.vocab) {
            (Some("BPE"), Value::Object(vocab)) => bpe(vocab),
            // Files from before 2021 do not name the model.
            (None, Value::Object(vocab)) if self.merges.is_some() => bpe(vocab),
            (Some("Unigram"), Value::Array(vocab)) => {
                (0..).zip(vocab).map(|(id, entry)| Some((id, entry.get(0)?.as_str()?))).collect()
            }
            (kind, _) => return Err(refused("model.type", format!("it is {}", kind.unwrap_or("missing")))),
        };
        pieces.ok_or_else(|| refused("model.vocab", "an entry is not a piece with its id or score"))
    }
}

fn bpe(vocab: &serde_json::Map<String, Value>) -> Option<Vec<(u32, &str)>> {
    vocab.iter().map(|(piece, id)| Some((u32::try_from(id.as_u64()?).ok()?, piece.as_str()))).collect()
}

/// Returns the spelling that a decoder undoes.
fn spelling(decoder: &Value) -> Result<Spelling, GrammarError> {
    let parts = match decoder.get("decoders") {
        Some(Value::Array(parts)) => parts.as_slice(),
        _ => std::slice::from_ref(decoder),
    };
    let (mut spelling, mut has_bytes) = (None, false);
    for part in parts {
        let text = |key: &str| part.get(key).and_then(Value::as_str);
        let found = match text("type") {
            Some("ByteLevel") => Spelling::ByteLevel,
            Some("Metaspace") if text("replacement") == Some(SPACE) => Spelling::Metaspace,
            Some("Replace") if part["pattern"]["String"] == SPACE && text("content") == Some(" ") => {
                Spelling::Metaspace
            }
            Some("ByteFallback") => {
                has_bytes = true;
                continue;
            }
            // They join pieces and take a space from the start of the text.
            Some("Fuse" | "Strip") => continue,
            other => return Err(refused("decoder", format!("it is {}", other.unwrap_or("missing")))),
        };
        if spelling.replace(found).is_some_and(|other| other != found) {
            return Err(refused("decoder", "it combines two spellings"));
        }
    }
    match spelling {
        Some(Spelling::Metaspace) if has_bytes => Ok(Spelling::SentencePiece),
        Some(spelling) => Ok(spelling),
        None => Err(refused("decoder", "it has no known spelling")),
    }
}

fn refused(key: &'static str, reason: impl Into<String>) -> GrammarError {
    GrammarError::Tokenizer { key, reason: reason.into() }
}
