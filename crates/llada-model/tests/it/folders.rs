//! The files of a tokenizer's folder: what transformers makes of them, and what becomes of those that are damaged.

use std::{fs, path::Path};

use llada_model::{Message, Tokenizer};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{fixture, json as read_json};

/// A folder with the fixture's `tokenizer.json` and `files`; what they say of `tokenizer.json` are keys to change.
fn folder(files: &Map<String, Value>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = read_json("tiny-llada", "tokenizer.json");
    for (name, content) in files {
        match (name.as_str(), content) {
            ("tokenizer.json", Value::Object(changed)) => {
                changed.iter().for_each(|(key, value)| tokenizer[key] = value.clone());
            }
            (name, Value::String(text)) => write(folder.path(), name, text),
            (name, content) => write(folder.path(), name, &content.to_string()),
        }
    }
    write(folder.path(), "tokenizer.json", &tokenizer.to_string());
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn open(files: &Value) -> Result<Tokenizer, String> {
    let folder = folder(files.as_object().unwrap());
    Tokenizer::open(folder.path()).map(Option::unwrap).map_err(|error| error.to_string())
}

fn render(tokenizer: &Tokenizer) -> Result<String, String> {
    tokenizer.render_chat(&[Message::new("user", "hi")]).map_err(|error| error.to_string())
}

#[test]
fn files_mean_what_transformers_makes_of_them() {
    let table: Vec<Value> = serde_json::from_str(include_str!("../fixtures/chat/folders.json")).unwrap();
    assert!(table.len() > 10);
    for case in table {
        let mut files = case["changed"].clone();
        files["chat_template.jinja"] = case["template"].clone();
        let tokenizer = open(&files).unwrap();
        for text in case["texts"].as_array().unwrap() {
            let ids = tokenizer.encode(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(Value::from(ids), text["ids"], "{} of {}", text["text"], case["changed"]);
        }
        assert_eq!(render(&tokenizer).unwrap(), case["rendered"], "{}", case["changed"]);
    }
}

#[test]
fn what_is_for_batches_and_for_training_changes_no_text() {
    let plain = open(&json!({})).unwrap();
    let mut model = read_json("tiny-llada", "tokenizer.json")["model"].clone();
    model["dropout"] = json!(0.5);
    for changed in [
        json!({"truncation": {"direction": "Left", "max_length": 1, "strategy": "OnlyFirst", "stride": 9}}),
        json!({"truncation": "none of this is read", "padding": {"strategy": "BatchLongest"}}),
        json!({"model": model}),
    ] {
        let tokenizer = open(&json!({"tokenizer.json": changed})).unwrap();
        let text = "The capital of France is a city, and 345 + 78 is a sum.";
        assert_eq!(tokenizer.encode(text).unwrap(), plain.encode(text).unwrap(), "{changed}");
    }
}

#[test]
fn templates_are_found_where_transformers_looks() {
    let settings = |template: Value| json!({"bos_token": "<|startoftext|>", "chat_template": template});
    let named = json!([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]);
    for (files, rendered) in [
        (json!({"tokenizer_config.json": settings("a".into())}), "a"),
        (json!({"tokenizer_config.json": settings(named)}), "d"),
        (json!({"tokenizer_config.json": settings("".into())}), ""),
        (json!({"tokenizer_config.json": {"bos_token": "", "chat_template": "{{ bos_token }}n"}}), "n"),
        (json!({"tokenizer_config.json": settings("a".into()), "chat_template.jinja": "\u{feff}b"}), "b"),
        (json!({"tokenizer_config.json": settings("a".into()), "chat_template.json": {"chat_template": "c"}}), "a"),
        (json!({"chat_template.json": {"chat_template": "c"}}), "c"),
        (json!({"chat_template.json": "{", "tokenizer_config.json": settings("a".into())}), "a"),
        (json!({"additional_chat_templates/default.jinja": "e", "tokenizer_config.json": settings("a".into())}), "e"),
        (json!({"additional_chat_templates/tool_use.jinja": "f", "chat_template.jinja": "b"}), "b"),
    ] {
        assert_eq!(render(&open(&files).unwrap()).unwrap(), rendered, "{files}");
    }
}

#[test]
fn a_template_that_cannot_be_used_stops_chats_alone() {
    let plain = open(&json!({})).unwrap();
    let settings = |template: Value| json!({"tokenizer_config.json": {"chat_template": template, "bos_token": "<s>"}});
    for (files, reason) in [
        (settings("{% if".into()), "tokenizer_config.json: chat template: syntax error"),
        (settings("{% nothing %}".into()), "unknown statement nothing"),
        (settings(json!(3)), "chat_template: it is neither a text nor a list"),
        (settings(json!([{"name": "tool_use", "template": "t"}])), "none of the named templates is called default"),
        (settings("{{ bos_token }}".into()), "writes bos_token, \"<s>\", which is no token of tokenizer.json"),
        (json!({"chat_template.jinja": "{{ 'a }}"}), "chat_template.jinja: chat template: syntax error"),
        (json!({"chat_template.json": "{"}), "chat_template.json: EOF"),
        (json!({}), "chat_template is not set"),
    ] {
        let tokenizer = open(&files).unwrap();
        assert_eq!(tokenizer.encode("2 + 3").unwrap(), plain.encode("2 + 3").unwrap());
        let error = render(&tokenizer).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert_eq!(tokenizer.chat_problem(), Some(error.as_str()));
    }
    // One that refuses these messages may take others.
    let refusing = settings("{% if messages | length < 2 %}{{ raise_exception('too short') }}{% endif %}x".into());
    let tokenizer = open(&refusing).unwrap();
    assert_eq!(tokenizer.chat_problem(), None);
    assert!(render(&tokenizer).unwrap_err().contains("too short"));
}

#[test]
fn the_built_in_template_needs_its_tokens() {
    let names = json!({"bos_token": "<|startoftext|>"});
    assert!(render(&open(&json!({"tokenizer_config.json": names})).unwrap()).unwrap().starts_with("<|startoftext|>"));
    assert!(open(&json!({})).unwrap().chat_problem().unwrap().contains("has not: bos_token"));
    let mut added_tokens = read_json("tiny-llada", "tokenizer.json")["added_tokens"].clone();
    for token in added_tokens.as_array_mut().unwrap() {
        if token["content"] == "<|eot_id|>" || token["content"] == "<|end_header_id|>" {
            token["content"] = format!("<|reserved_{}|>", token["id"]).into();
        }
    }
    let base = json!({"tokenizer.json": {"added_tokens": added_tokens}, "tokenizer_config.json": names});
    let problem = open(&base).unwrap().chat_problem().unwrap().to_owned();
    assert!(problem.contains("chat_template is not set"), "{problem}");
    assert!(problem.contains("has not: <|end_header_id|>, <|eot_id|>\nhint: "), "{problem}");
}

#[test]
fn two_ids_for_a_token_are_refused() {
    for files in [
        json!({"added_tokens.json": {"<|eot_id|>": 3}}),
        json!({"added_tokens.json": {"<|new|>": 9999}}),
        json!({"tokenizer_config.json": {"added_tokens_decoder": {"5": {"content": "<|eot_id|>", "special": true}}}}),
        json!({"tokenizer.json": {"added_tokens": [{"id": 9999, "content": "<|eot_id|>", "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true}]}}),
    ] {
        let error = open(&files).unwrap_err();
        assert!(error.contains("has id") && error.contains(".json"), "{error}");
    }
}

#[test]
fn a_file_cut_short_is_named_with_the_place() {
    let text = fs::read_to_string(fixture("tiny-llada-gqa-bf16").join("tokenizer.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for length in (0..text.len()).step_by(997).chain([3039]) {
        write(folder.path(), "tokenizer.json", &text[..length]);
        let error = Tokenizer::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json: EOF while parsing"), "{error}");
        assert!(error.contains("at line "), "{error}");
    }
    write(folder.path(), "tokenizer.json", &format!("\u{feff}{text}"));
    assert!(Tokenizer::open(folder.path()).unwrap().is_some());
}

#[test]
fn strange_but_whole_json_is_an_error_or_works() {
    let text = fs::read_to_string(fixture("tiny-llada").join("tokenizer.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let strange: Vec<Value> = vec![
        Value::Null,
        json!(-1),
        json!(1e300),
        json!(""),
        json!("x"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"type": "ByteLevel"}),
    ];
    let mut paths: Vec<String> = Vec::new();
    pointers(&serde_json::from_str(&text).unwrap(), "", &mut paths);
    for path in &paths {
        for value in &strange {
            let mut tokenizer: Value = serde_json::from_str(&text).unwrap();
            *tokenizer.pointer_mut(path).unwrap() = value.clone();
            write(folder.path(), "tokenizer.json", &tokenizer.to_string());
            if let Ok(Some(tokenizer)) = Tokenizer::open(folder.path()) {
                // Whatever it gives: nothing may panic.
                let _ = tokenizer.encode("2 + 3 <|eot_id|>").map(|ids| tokenizer.decode(&ids));
            }
        }
    }
}

/// The places of `value` that are not entries of a long list or of the vocabulary.
fn pointers(value: &Value, path: &str, paths: &mut Vec<String>) {
    paths.push(path.to_owned());
    match value {
        Value::Object(object) => {
            object.iter().take(12).for_each(|(key, value)| {
                pointers(value, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), paths);
            });
        }
        Value::Array(list) => {
            list.iter()
                .take(2)
                .enumerate()
                .for_each(|(index, value)| pointers(value, &format!("{path}/{index}"), paths));
        }
        _ => {}
    }
}
