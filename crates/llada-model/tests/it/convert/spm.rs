//! Tokenizers of SentencePiece in GGUF files, against the ids that SentencePiece gives.

use std::path::{Path, PathBuf};

use llada_gguf::Value;
use llada_model::Tokenizer;

use super::{gguf::with_vocabulary, in_f32, run};
use crate::{json, mutation::survives, told, writer::Writer};

/// A file whose tokenizer has these pieces; texts begin with token 1 if `begins`.
fn written(folder: &Path, begins: bool, pieces: &[(String, f64, u64)]) -> PathBuf {
    let mut file = Writer::default();
    let text = |text: &str| Value::Text(text.to_owned());
    file.key("tokenizer.ggml.model", text("llama"));
    file.key("tokenizer.ggml.pre", text("default"));
    file.key("tokenizer.ggml.tokens", Value::List(pieces.iter().map(|(piece, ..)| text(piece)).collect()));
    file.key("tokenizer.ggml.scores", Value::List(pieces.iter().map(|(_, score, _)| Value::Float(*score)).collect()));
    file.key(
        "tokenizer.ggml.token_type",
        Value::List(pieces.iter().map(|(.., kind)| Value::Unsigned(*kind)).collect()),
    );
    for (key, id) in [("unknown", 0), ("bos", 1), ("eos", 2)] {
        file.key(&format!("tokenizer.ggml.{key}_token_id"), Value::Unsigned(id));
    }
    if !begins {
        file.key("tokenizer.ggml.add_bos_token", Value::Bool(false));
    }
    with_vocabulary(folder, file, pieces.len())
}

fn pieces() -> Vec<(String, f64, u64)> {
    serde_json::from_value(json("convert", "spm.json")["pieces"].take()).unwrap()
}

#[test]
fn golden_ids_of_sentencepiece() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), false, &pieces());
    let out = folder.path().join("out");
    let converted = run(&path, &out, &in_f32()).unwrap();
    let tokenizer = Tokenizer::load(&out, &converted.config).unwrap().unwrap();
    let texts: Vec<(String, Vec<u32>)> = serde_json::from_value(json("convert", "spm.json")["texts"].take()).unwrap();
    assert!(texts.len() > 100);
    for (text, ids) in texts {
        assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
        if !text.contains("[END]") && !text.contains('▁') {
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }
}

#[test]
fn a_text_begins_as_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), true, &pieces());
    let out = folder.path().join("out");
    let converted = run(&path, &out, &in_f32()).unwrap();
    let tokenizer = Tokenizer::load(&out, &converted.config).unwrap().unwrap();
    let ids = tokenizer.encode("the</s>").unwrap();
    assert_eq!((ids[0], ids.last()), (1, Some(&2)));
    let the = pieces().iter().position(|(piece, ..)| piece == "▁the").unwrap();
    assert_eq!(ids[1] as usize, the);
    assert_eq!(tokenizer.mask_id(), Some(pieces().len() as u32));
}

#[test]
fn scores_and_pieces_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |pieces: &[(String, f64, u64)]| {
        told(&run(&written(folder.path(), true, pieces), &folder.path().join("out"), &in_f32()).unwrap_err())
    };
    let mut long = pieces();
    long[300].0 = "x".repeat(2000);
    assert!(refusal(&long).contains("tokenizer.ggml.tokens: the piece \"xxxxxxxxxxxxxxxxxxxx\" has no score, or more"));
    let mut none = pieces();
    none[300].1 = f64::NAN;
    assert!(refusal(&none).contains("has no score"));
}

#[test]
fn a_damaged_tokenizer_is_an_error_or_a_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), true, &pieces());
    let whole = std::fs::read(&path).unwrap();
    let (head, rest) = whole.split_at(16 << 10);
    survives(24, head, |bytes| {
        std::fs::write(&path, [bytes, rest].concat()).unwrap();
        let out = folder.path().join("out");
        match run(&path, &out, &in_f32()) {
            Ok(_) => std::fs::remove_dir_all(&out).unwrap(),
            Err(error) => assert!(!error.to_string().is_empty() && !out.exists()),
        }
    });
}
