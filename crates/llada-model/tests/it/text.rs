//! Text: ids, decoded text and rendered chats equal to the reference's; tokenizers that disagree with the config; what
//! transformers makes of the files beside `tokenizer.json`.

use std::fs;

use llada_model::{Message, ModelConfig, Tokenizer};
use serde_json::{Value, from_value};

use crate::{FIXTURES, fixture, json};

fn tokenizer(name: &str) -> Tokenizer {
    let folder = fixture(name);
    Tokenizer::load(&folder, &ModelConfig::load(&folder).unwrap()).unwrap().unwrap()
}

#[test]
fn text_equals_the_reference() {
    for name in FIXTURES {
        let tokenizer = tokenizer(name);
        for case in json(name, "golden_text.json")["encode"].as_array().unwrap() {
            let ids: Vec<u32> = from_value(case["ids"].clone()).unwrap();
            assert_eq!(tokenizer.encode(case["text"].as_str().unwrap()).unwrap(), ids);
            assert_eq!(tokenizer.decode(&ids).unwrap(), case["decoded"].as_str().unwrap());
        }
    }
}

#[test]
fn chats_equal_the_reference() {
    for name in FIXTURES {
        let tokenizer = tokenizer(name);
        for case in json(name, "golden_text.json")["chat"].as_array().unwrap() {
            let messages: Vec<Message> = from_value(case["messages"].clone()).unwrap();
            assert_eq!(tokenizer.render_chat(&messages).unwrap(), case["rendered"].as_str().unwrap());
            assert_eq!(Value::from(tokenizer.encode_chat(&messages).unwrap()), case["ids"]);
            let output: Vec<u32> = from_value(case["generate"]["output"].clone()).unwrap();
            assert_eq!(tokenizer.decode(&output).unwrap(), case["generate"]["text"].as_str().unwrap());
        }
    }
}

/// A copy of the first fixture's text files after `change`.
fn changed(change: impl FnOnce(&mut Value), file: &str) -> Result<Option<Tokenizer>, String> {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("tiny-llada").join(file), folder.path().join(file)).unwrap();
    }
    let mut value = json("tiny-llada", file);
    change(&mut value);
    fs::write(folder.path().join(file), value.to_string()).unwrap();
    let config = ModelConfig::load(folder.path()).map_err(|e| e.to_string())?;
    Tokenizer::load(folder.path(), &config).map_err(|e| e.to_string())
}

#[test]
fn llada_template_is_the_fallback() {
    let bare =
        changed(|settings| _ = settings.as_object_mut().unwrap().remove("chat_template"), "tokenizer_config.json");
    let bare = bare.unwrap().unwrap();
    for case in json("tiny-llada", "golden_text.json")["chat"].as_array().unwrap() {
        let messages: Vec<Message> = from_value(case["messages"].clone()).unwrap();
        assert_eq!(bare.render_chat(&messages).unwrap(), case["rendered"].as_str().unwrap());
    }
}

#[test]
fn a_tokenizer_that_disagrees_is_refused() {
    for (key, value, named) in [
        ("mask_token_id", 3, "mask_token_id is 3"),
        ("eos_token_id", 4, "eos_token_id is 4"),
        ("vocab_size", 511, "highest id is 511"),
    ] {
        let error = changed(|config| config[key] = value.into(), "config.json").unwrap_err();
        assert!(error.contains(named), "{error}");
    }
}
