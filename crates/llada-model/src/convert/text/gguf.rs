//! The tokenizer of a GGUF file, rebuilt as the `tokenizer.json` that llama.cpp's converter has read: byte-level BPE
//! (`tokenizer.ggml.model` gpt2) with the pre-tokenizers of SmolLM, GPT-2, Llama 3 and Qwen2, or that of SentencePiece (`spm`).
//!
//! Source: `docs/gguf.md` of ggml for the keys, `llama-vocab.cpp` of llama.cpp for what its names of pre-tokenizers stand
//! for, the published `tokenizer.json` files for their form.

use std::collections::BTreeSet;

use llada_gguf::{Gguf, GgufError, Value as Stored};
use serde_json::{Map, Value, json};

use super::{TextSide, spm, token};
use crate::ModelError;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// Types of tokens in `tokenizer.ggml.token_type`: special ones, ones that are added and not special, and fillers.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;

/// The regular expression of Llama 3, of which Qwen2's takes digits one by one.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How text is split before the merges, and what goes with it.
#[derive(Clone, Copy, PartialEq)]
enum PreTokenizer {
    Gpt2,
    Smollm,
    Llama3,
    Qwen2,
}

impl PreTokenizer {
    /// Those that are read, by llama.cpp's names.
    const NAMES: [(&str, Self); 8] = [
        ("smollm", Self::Smollm),
        ("starcoder", Self::Smollm),
        ("refact", Self::Smollm),
        ("llama-bpe", Self::Llama3),
        ("llama3", Self::Llama3),
        ("llama-v3", Self::Llama3),
        ("qwen2", Self::Qwen2),
        ("gpt-2", Self::Gpt2),
    ];

    fn of(file: &Gguf) -> Result<Self, GgufError> {
        let name = file.text(PRE)?.unwrap_or("not named");
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, found)| *found).ok_or_else(|| {
            let known = Self::NAMES.map(|(name, _)| name).join(", ");
            file.key_error(PRE, format!("the pre-tokenizer {name} is not read; these are: {known}"))
        })
    }

    fn json(self) -> Value {
        let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
        let split = |regex: &str| {
            let split =
                json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
            json!({ "type": "Sequence", "pretokenizers": [split, bytes(false)] })
        };
        match self {
            Self::Gpt2 => bytes(true),
            Self::Smollm => {
                let digits = json!({ "type": "Digits", "individual_digits": true });
                json!({ "type": "Sequence", "pretokenizers": [digits, bytes(true)] })
            }
            Self::Llama3 => split(LLAMA3),
            Self::Qwen2 => split(QWEN2),
        }
    }
}

/// The tokens of a file.
pub(super) struct Vocabulary<'a> {
    pub(super) tokens: Vec<&'a str>,
    pub(super) types: Vec<u64>,
}

/// What a tokenizer does with text, as parts of `tokenizer.json`.
pub(super) struct Pipeline {
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) post_processor: Value,
    pub(super) decoder: Value,
    /// The keys of BPE, but for the vocabulary.
    pub(super) model: Map<String, Value>,
}

impl<'a> Vocabulary<'a> {
    /// Reads the tokens, without the fillers behind the last of them.
    fn read(file: &'a Gguf) -> Result<Self, GgufError> {
        let missing = |key: &str| file.key_error(key, "the key is missing");
        let mut tokens = file.list(TOKENS, "a list of texts", Stored::text)?.ok_or_else(|| missing(TOKENS))?;
        let types = file.list(TYPES, "a list of types", Stored::unsigned)?;
        let mut types = types.unwrap_or_else(|| vec![1; tokens.len()]);
        if types.len() != tokens.len() {
            return Err(file.key_error(TYPES, format!("{} types for {} tokens", types.len(), tokens.len())));
        }
        let used = types.iter().rposition(|&kind| kind != UNUSED).map_or(0, |last| last + 1);
        tokens.truncate(used);
        types.truncate(used);
        let mut seen = BTreeSet::new();
        match tokens.iter().find(|token| !seen.insert(**token)) {
            Some(token) => Err(file.key_error(TOKENS, format!("the token {token:?} is there twice"))),
            None => Ok(Self { tokens, types }),
        }
    }

    /// Returns the token that a key names by its id.
    pub(super) fn named(&self, file: &Gguf, key: &str) -> Result<Option<(u64, &'a str)>, GgufError> {
        let Some(id) = file.unsigned(key)? else { return Ok(None) };
        match usize::try_from(id).ok().and_then(|id| self.tokens.get(id)) {
            Some(token) => Ok(Some((id, token))),
            None => Err(file.key_error(key, format!("{id} is no id of {} tokens", self.tokens.len()))),
        }
    }
}

/// Returns the tokenizer and the chat template that `file` describes.
pub(in crate::convert) fn text_side(file: &Gguf) -> Result<TextSide, ModelError> {
    // Before the tokens, so that a file is refused by the name of what is not read.
    let pre_tokenizer = match file.text(MODEL)?.unwrap_or("not named") {
        "gpt2" => Some(PreTokenizer::of(file)?),
        "llama" => None,
        model => {
            let message =
                format!("the tokenizer {model} is not read, gpt2 (byte-level BPE) and llama (SentencePiece) are");
            return Err(file.key_error(MODEL, message).into());
        }
    };
    let vocabulary = Vocabulary::read(file)?;
    let mut settings = Map::from_iter([
        ("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast")),
        ("clean_up_tokenization_spaces".to_owned(), json!(false)),
    ]);
    for (name, key) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")] {
        let named = vocabulary.named(file, &format!("tokenizer.ggml.{key}_token_id"))?;
        settings.extend(named.map(|(_, token)| (format!("{name}_token"), json!(token))));
    }
    let begins_unless_said = matches!(pre_tokenizer, None | Some(PreTokenizer::Llama3));
    let begins = file.bool("tokenizer.ggml.add_bos_token")?.unwrap_or(begins_unless_said);
    let bos = vocabulary.named(file, "tokenizer.ggml.bos_token_id")?.filter(|_| begins);
    let mut added = Vec::new();
    for (id, (content, kind)) in vocabulary.tokens.iter().zip(&vocabulary.types).enumerate() {
        if matches!(*kind, UNKNOWN | CONTROL | USER_DEFINED) {
            let mut entry = token(content);
            entry["id"] = json!(id);
            entry["special"] = json!(*kind != USER_DEFINED);
            added.push(entry);
        }
    }
    let vocab: Map<String, Value> =
        (0..).zip(&vocabulary.tokens).map(|(id, token)| ((*token).to_owned(), json!(id as u32))).collect();
    let Pipeline { normalizer, pre_tokenizer, post_processor, decoder, mut model } = match pre_tokenizer {
        Some(pre_tokenizer) => byte_level(file, pre_tokenizer, bos)?,
        None => spm::pipeline(file, &vocabulary, bos)?,
    };
    for (key, value) in [
        ("type", json!("BPE")),
        ("dropout", Value::Null),
        ("continuing_subword_prefix", Value::Null),
        ("end_of_word_suffix", Value::Null),
        ("vocab", vocab.into()),
    ] {
        model.insert(key.to_owned(), value);
    }
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": model,
    });
    Ok(TextSide {
        tokenizer: tokenizer.as_object().cloned(),
        settings,
        template: file.text("tokenizer.chat_template")?.map(str::to_owned),
        others: Vec::new(),
        origin: file.path().to_owned(),
    })
}

/// What byte-level BPE does with text.
fn byte_level(file: &Gguf, pre_tokenizer: PreTokenizer, bos: Option<(u64, &str)>) -> Result<Pipeline, GgufError> {
    let merges = file.list(MERGES, "a list of texts", Stored::text)?.unwrap_or_default();
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true });
    Ok(Pipeline {
        normalizer: if pre_tokenizer == PreTokenizer::Qwen2 { json!({ "type": "NFC" }) } else { Value::Null },
        pre_tokenizer: pre_tokenizer.json(),
        post_processor: match bos {
            None => bytes,
            Some(bos) => json!({ "type": "Sequence", "processors": [bytes, begin(bos)] }),
        },
        decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        model: Map::from_iter([
            ("unk_token".to_owned(), Value::Null),
            ("fuse_unk".to_owned(), json!(false)),
            ("byte_fallback".to_owned(), json!(false)),
            ("ignore_merges".to_owned(), json!(pre_tokenizer == PreTokenizer::Llama3)),
            ("merges".to_owned(), json!(merges)),
        ]),
    })
}

/// Returns the post-processor that puts `bos` in front of a text.
pub(super) fn begin((id, bos): (u64, &str)) -> Value {
    let special = json!({ "SpecialToken": { "id": bos, "type_id": 0 } });
    let sequence = |name: &str, type_id: u32| json!({ "Sequence": { "id": name, "type_id": type_id } });
    json!({
        "type": "TemplateProcessing", "single": [special, sequence("A", 0)],
        "pair": [special, sequence("A", 0), { "SpecialToken": { "id": bos, "type_id": 1 } }, sequence("B", 1)],
        "special_tokens": { bos: { "id": bos, "ids": [id], "tokens": [bos] } },
    })
}
