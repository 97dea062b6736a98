//! SentencePiece's BPE as llama.cpp has it (`tokenizer.ggml.model` llama): pieces with scores become merges in the order of
//! the scores, what no piece spells becomes bytes, and spaces are written ▁, one of them in front of every text.
//!
//! Source: `llm_tokenizer_spm` in `llama-vocab.cpp` of llama.cpp for what such a file means; `LlamaConverter` in
//! `convert_slow_tokenizer.py` of transformers for the form of the `tokenizer.json`.

use std::collections::BTreeMap;

use llada_gguf::{Gguf, GgufError, Value as Stored};
use serde_json::{Map, Value, json};

use super::gguf::{Pipeline, Vocabulary, begin};

const SCORES: &str = "tokenizer.ggml.scores";
const TOKENS: &str = "tokenizer.ggml.tokens";

/// The type of pieces that merges make.
const NORMAL: u64 = 1;

/// The most bytes of a piece; SentencePiece's own limit is 16 characters unless it is trained with another.
const LONGEST: usize = 1 << 10;

/// Two pieces that become one.
struct Merge<'a> {
    score: f64,
    left: &'a str,
    right: &'a str,
}

/// Returns what the tokenizer of `file` does with text. `bos` is put in front of it.
pub(super) fn pipeline(
    file: &Gguf,
    vocabulary: &Vocabulary<'_>,
    bos: Option<(u64, &str)>,
) -> Result<Pipeline, GgufError> {
    let merges: Vec<[&str; 2]> =
        merges(file, vocabulary)?.into_iter().map(|Merge { left, right, .. }| [left, right]).collect();
    let has_prefix = file.bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
    let prepend = has_prefix.then(|| json!({ "type": "Prepend", "prepend": "▁" }));
    let normalizers: Vec<Value> = prepend.into_iter().chain([replace(" ", "▁")]).collect();
    let strip = has_prefix.then(|| json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    let fallback = [replace("▁", " "), json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
    let decoders: Vec<Value> = fallback.into_iter().chain(strip).collect();
    let unknown = vocabulary.named(file, "tokenizer.ggml.unknown_token_id")?.map(|(_, token)| token);
    Ok(Pipeline {
        normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
        pre_tokenizer: Value::Null,
        post_processor: bos.map_or(Value::Null, begin),
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: Map::from_iter([
            ("unk_token".to_owned(), json!(unknown)),
            ("fuse_unk".to_owned(), json!(true)),
            ("byte_fallback".to_owned(), json!(true)),
            ("ignore_merges".to_owned(), json!(false)),
            ("merges".to_owned(), json!(merges)),
        ]),
    })
}

/// Every way to put a piece together from two, the pieces of the highest scores first.
fn merges<'a>(file: &Gguf, vocabulary: &Vocabulary<'a>) -> Result<Vec<Merge<'a>>, GgufError> {
    let scores = file.list(SCORES, "a list of floats", Stored::float)?;
    let scores = scores.ok_or_else(|| file.key_error(SCORES, "the key is missing"))?;
    if scores.len() < vocabulary.tokens.len() {
        let message = format!("{} scores for {} tokens", scores.len(), vocabulary.tokens.len());
        return Err(file.key_error(SCORES, message));
    }
    let pieces = vocabulary.tokens.iter().zip(&vocabulary.types).zip(&scores).enumerate();
    let pieces = pieces.filter(|(_, ((_, kind), _))| **kind == NORMAL);
    let pieces: Vec<(usize, &str, f64)> = pieces.map(|(id, ((piece, _), score))| (id, *piece, *score)).collect();
    if let Some((_, piece, _)) = pieces.iter().find(|(_, piece, score)| piece.len() > LONGEST || score.is_nan()) {
        let start: String = piece.chars().take(20).collect();
        let message = format!("the piece {start:?} has no score, or more than {LONGEST} bytes");
        return Err(file.key_error(TOKENS, message));
    }
    let ids: BTreeMap<&str, usize> = pieces.iter().map(|(id, piece, _)| (*piece, *id)).collect();
    let mut merges = Vec::new();
    for (_, piece, score) in pieces {
        let halves = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        let mut halves: Vec<(&str, &str)> =
            halves.filter(|(left, right)| ids.contains_key(left) && ids.contains_key(right)).collect();
        halves.sort_by_key(|(left, right)| (ids[left], ids[right]));
        merges.extend(halves.into_iter().map(|(left, right)| Merge { score, left, right }));
    }
    let characters = |text: &str| text.chars().count();
    // A stable order: of one piece the longest left half first, and then by the ids of the halves.
    merges.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| characters(b.left).cmp(&characters(a.left)))
            .then_with(|| characters(b.right).cmp(&characters(a.right)))
    });
    Ok(merges)
}
