//! The text side of a conversion: a tokenizer out of a GGUF file's metadata, and the mask in it.

use std::fs;

use llada_gguf::Value;
use llada_model::{Conversion, Message, Tokenizer};
use serde_json::{Value as Json, json};

use super::{in_f32, run, sample::SAMPLES};
use crate::writer::Writer;

const TEMPLATE: &str = "{% for message in messages %}<s>{{ message['content'] }}</s>{% endfor %}";

/// The tokens of the samples: special ones, letters, two merges, one that is added, and fillers up to the embedding's size.
fn tokens() -> Vec<(String, i64)> {
    let special = ["<unk>", "<s>", "</s>", "<reserved>"].map(|token| (token.to_owned(), 3));
    let letters = ('a'..='z').map(|letter| (letter.to_string(), 1));
    let others = ["Ġ", "1", "2", "ab", "abc"].map(|token| (token.to_owned(), 1));
    let mut tokens: Vec<_> = special.into_iter().chain(letters).chain(others).collect();
    tokens.push(("<think>".to_owned(), 4));
    for filler in tokens.len()..super::sample::VOCABULARY {
        tokens.push((format!("<filler{filler}>"), 1));
    }
    tokens
}

/// Adds the tokenizer's keys to a file.
pub(super) fn keys(file: &mut Writer) {
    let text = |text: &str| Value::Text(text.to_owned());
    file.key("tokenizer.ggml.model", text("gpt2"));
    file.key("tokenizer.ggml.pre", text("smollm"));
    file.key("tokenizer.ggml.tokens", Value::List(tokens().iter().map(|(token, _)| text(token)).collect()));
    file.key("tokenizer.ggml.token_type", Value::List(tokens().iter().map(|(_, kind)| Value::Signed(*kind)).collect()));
    file.key("tokenizer.ggml.merges", Value::List(["a b", "ab c"].map(text).to_vec()));
    file.key("tokenizer.ggml.bos_token_id", Value::Unsigned(1));
    file.key("tokenizer.ggml.eos_token_id", Value::Unsigned(2));
    file.key("tokenizer.ggml.add_bos_token", Value::Bool(true));
    file.key("tokenizer.chat_template", text(TEMPLATE));
}

#[test]
fn the_tokenizer_of_a_file_is_rebuilt() {
    let folder = super::gguf::written(&SAMPLES[0]);
    let out = folder.path().join("out");
    let converted = run(&folder.path().join("model.gguf"), &out, &in_f32()).unwrap();
    let tokenizer = Tokenizer::load(&out, &converted.config).unwrap().unwrap();
    let id = |token: &str| tokens().iter().position(|(known, _)| known == token).unwrap() as u32;
    let ids = tokenizer.encode("abca 12<think>ab</s>").unwrap();
    let expected = ["<s>", "abc", "a", "Ġ", "1", "2", "<think>", "ab", "</s>"].map(id);
    assert_eq!(ids, expected);
    assert_eq!(tokenizer.decode(&ids).unwrap(), "abca 12<think>ab");
    assert_eq!(tokenizer.encode("<|mask|>").unwrap(), [1, converted.config.mask_token_id]);
    assert_eq!((tokenizer.mask_id(), tokenizer.eos_id()), (Some(40), Some(2)));
    assert_eq!(tokenizer.render_chat(&[Message::new("user", "ab")]).unwrap(), "<s>ab</s>");
}

#[test]
fn a_token_that_is_there_can_be_the_mask() {
    let folder = super::gguf::written(&SAMPLES[0]);
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    let with = |mask: &str| Conversion { mask_token: mask.to_owned(), ..in_f32() };
    let converted = run(&path, &out, &with("<reserved>")).unwrap();
    assert_eq!((converted.config.mask_token_id, converted.mask_is_new), (3, false));
    assert_eq!(converted.config.vocab_size, super::sample::VOCABULARY);
    let tokenizer = Tokenizer::load(&out, &converted.config).unwrap().unwrap();
    assert_eq!(tokenizer.mask_id(), Some(3));
    for (mask, reason) in [
        ("abc", "the token \"abc\" is a part of ordinary text, so it cannot be the mask"),
        ("</s>", "the token with id 2 ends texts, so it cannot be the mask"),
        ("", "the mask token has no text"),
    ] {
        let error = run(&path, &folder.path().join("other"), &with(mask)).unwrap_err();
        assert_eq!(crate::told(&error), format!("{reason}\nhint: mask_token <|mask|>"));
    }
}

/// `added_tokens_decoder` lists every added token, so the mask has to be in it too.
#[test]
fn the_mask_joins_the_tokens_of_a_folder() {
    let from_file = super::gguf::written(&SAMPLES[0]);
    let first = from_file.path().join("out");
    run(&from_file.path().join("model.gguf"), &first, &Conversion { mask_token: "<reserved>".to_owned(), ..in_f32() })
        .unwrap();
    let folder = super::written(&SAMPLES[0]);
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        fs::copy(first.join(name), folder.path().join(name)).unwrap();
    }
    let settings = json!({
        "added_tokens_decoder": { "1": { "content": "<s>", "special": true } }, "eos_token": "</s>",
    });
    fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let out = folder.path().join("out");
    let converted = run(folder.path(), &out, &in_f32()).unwrap();
    let read = |name: &str| -> Json { serde_json::from_str(&fs::read_to_string(out.join(name)).unwrap()).unwrap() };
    let settings = read("tokenizer_config.json");
    assert_eq!(settings["mask_token"], "<|mask|>");
    assert_eq!(settings["added_tokens_decoder"]["40"]["content"], "<|mask|>");
    let tokenizer = Tokenizer::load(&out, &converted.config).unwrap().unwrap();
    assert_eq!(tokenizer.encode_part("ab<|mask|>").unwrap()[1], 40);
    assert!(out.join("chat_template.jinja").exists());
}

/// A thousand texts under the pre-tokenizers that a file may name, against the table of `tokens.py`.
#[test]
fn texts_become_the_ids_of_the_published_tokenizers() {
    let table: Json = serde_json::from_str(include_str!("../../fixtures/convert/tokens.json")).unwrap();
    let list = |key: &str| -> Vec<String> { serde_json::from_value(table[key].clone()).unwrap() };
    let (texts, names) = (list("texts"), table["ids"].as_object().unwrap());
    assert_eq!(texts.len() * names.len(), 1000);
    for (name, ids) in names {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Writer::default();
        let text = |text: &str| Value::Text(text.to_owned());
        file.key("tokenizer.ggml.model", text("gpt2"));
        file.key("tokenizer.ggml.pre", text(name));
        file.key("tokenizer.ggml.tokens", Value::List(list("tokens").iter().map(|token| text(token)).collect()));
        file.key("tokenizer.ggml.merges", Value::List(list("merges").iter().map(|merge| text(merge)).collect()));
        file.key("tokenizer.ggml.bos_token_id", Value::Unsigned(0));
        file.key("tokenizer.ggml.eos_token_id", Value::Unsigned(0));
        file.key("tokenizer.ggml.add_bos_token", Value::Bool(false));
        let path = super::gguf::with_vocabulary(folder.path(), file, list("tokens").len());
        let out = folder.path().join("out");
        let converted = run(&path, &out, &in_f32()).unwrap();
        let tokenizer = Tokenizer::load(&out, &converted.config).unwrap().unwrap();
        for (text, ids) in texts.iter().zip(ids.as_array().unwrap()) {
            let expected: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
            assert_eq!(tokenizer.encode(text).unwrap(), expected, "{name}: {text:?}");
            // Qwen2 composes characters first.
            assert!(name == "qwen2" || tokenizer.decode(&expected).unwrap() == *text, "{name}: {text:?}");
        }
    }
}
