//! From text to shards and back.

use std::fs;

use llada_model::Tokenizer;
use llada_train::{
    data::{
        Dataset, Kind,
        prepare::{Format, Options, Prepared, prepare},
    },
    tokenizer,
};
use tempfile::TempDir;

const TEXT: &str = "Forty-two is 42.\n\nThe cat sat on the mat; the cat sat on the hat.\n";

/// A folder with a tokenizer in `tokenizer/`.
fn workplace() -> (TempDir, Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer");
    tokenizer::train(std::iter::repeat_n(TEXT, 3), 300, &path).unwrap();
    let tokenizer = Tokenizer::open(&path).unwrap().unwrap();
    (folder, tokenizer)
}

#[test]
fn a_trained_tokenizer_reads_any_text_and_splits_digits() {
    let (_folder, tokenizer) = workplace();
    for text in [TEXT, "naïve ☃ \u{0} 東京\t\r\n  ", "1234567890"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
    }
    let digits = tokenizer.encode("1234").unwrap();
    assert_eq!(digits.iter().map(|&id| tokenizer.piece(id)).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert!(tokenizer.vocab_size() <= 300);
    assert!(tokenizer.encode(" cat").unwrap().len() == 1);
    for id in [tokenizer.mask_id(), tokenizer.eos_id(), tokenizer.eot_id()] {
        assert!(id.is_some());
    }
    let folder = tempfile::tempdir().unwrap();
    let error = tokenizer::train([TEXT].into_iter(), 100, &folder.path().join("small")).unwrap_err().to_string();
    assert!(error.contains("vocab_size is 100") && error.contains("262 at least"), "{error}");
}

fn options(format: Format) -> Options {
    Options { format, max_length: 64, answer_length: 6 }
}

/// Prepares `content` and opens what came of it.
fn check(content: &str, format: Format) -> (TempDir, Tokenizer, Prepared, Dataset) {
    let (folder, tokenizer) = workplace();
    let input = folder.path().join("input");
    fs::write(&input, content).unwrap();
    let out = folder.path().join("data");
    let prepared = prepare(&[input], options(format), &tokenizer, &out, |_| ()).unwrap();
    let data = Dataset::open(&out).unwrap();
    (folder, tokenizer, prepared, data)
}

#[test]
fn a_text_file_is_one_document() {
    let (_folder, tokenizer, prepared, data) = check(TEXT, Format::Text);
    assert_eq!(prepared, Prepared { items: 1, too_long: 0, bytes: TEXT.len() as u64 });
    let whole = data.read(&[0], data.tokens() as usize).ids;
    assert_eq!(whole.last().copied(), tokenizer.eos_id());
    assert_eq!(tokenizer.decode(&whole).unwrap(), TEXT);
    let per_token = TEXT.len() as f64 / whole.len() as f64;
    assert!((data.bytes_per_token() - per_token).abs() < 1e-12);
    assert_eq!(data.rows(4), whole.len() / 4);
    assert_eq!(data.read(&[2, 0], 4).ids, [&whole[8..12], &whole[..4]].concat());
}

#[test]
fn every_line_of_json_is_a_document() {
    let (_folder, tokenizer, prepared, data) = check("{\"text\": \"a cat\"}\n\n{\"text\": \"a hat\"}", Format::Jsonl);
    assert_eq!(prepared.items, 2);
    let ids = data.read(&[0], data.tokens() as usize).ids;
    let texts: Vec<String> =
        ids.split(|id| Some(*id) == tokenizer.eos_id()).map(|ids| tokenizer.decode(ids).unwrap()).collect();
    assert_eq!(texts, ["a cat", "a hat", ""]);
    let chat = r#"{"messages": [{"role": "user", "content": "cat?"}, {"role": "assistant", "content": "hat"}]}"#;
    let (_folder, tokenizer, prepared, data) = check(chat, Format::Jsonl);
    assert_eq!((prepared.items, data.kind()), (1, Kind::Pretrain));
    assert_eq!(tokenizer.decode(&data.read(&[0], data.tokens() as usize).ids).unwrap(), "cat?\nhat");
}

#[test]
fn every_answer_of_a_chat_is_a_record() {
    let turn = |role: &str, content: &str| format!(r#"{{"role": "{role}", "content": "{content}"}}"#);
    let chat = [turn("user", "cat?"), turn("assistant", "hat"), turn("user", "mat?"), turn("assistant", "sat")];
    let long = turn("assistant", &"long ".repeat(100));
    let lines = format!("{{\"messages\": [{}]}}\n{{\"messages\": [{long}]}}\n", chat.join(", "));
    let (_folder, tokenizer, prepared, data) = check(&lines, Format::Chat);
    assert_eq!((prepared.items, prepared.too_long, data.kind()), (2, 1, Kind::Sft));
    let rows = data.read(&[0, 1], 0);
    let prompts = rows.prompt_lengths.unwrap();
    let (short, long) = rows.ids.split_at(rows.row_length);
    assert_eq!(tokenizer.decode(&short[prompts[0]..]).unwrap(), "hat");
    assert_eq!(tokenizer.decode(&long[prompts[1]..]).unwrap(), "sat");
    assert!(tokenizer.decode(&long[..prompts[1]]).unwrap().contains("hat"));
    let (eot, eos) = (tokenizer.eot_id().unwrap(), tokenizer.eos_id().unwrap());
    let padding = long[prompts[1]..].strip_prefix(tokenizer.encode("sat").unwrap().as_slice()).unwrap();
    assert_eq!(padding[0], eot);
    assert!(padding[1..].iter().all(|&id| id == eos));
    assert_eq!(data.record_lengths(), [prompts[0] + 6, prompts[1] + 6]);
    assert!(short[data.record_lengths()[0]..].iter().all(|&id| id == eos));
}

#[test]
fn what_is_wrong_with_the_input_is_told() {
    let (folder, tokenizer) = workplace();
    let input = folder.path().join("input.jsonl");
    let out = folder.path().join("data");
    let check = |content: &str, format, message: &str| {
        fs::write(&input, content).unwrap();
        let error =
            prepare(std::slice::from_ref(&input), options(format), &tokenizer, &out, |_| ()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(!out.exists(), "half a dataset was left");
    };
    check("{\"text\": \"a\"}\n{\"txt\": 1}", Format::Jsonl, "line 2: neither `text` nor `messages`");
    check("{\"text\": \"a\"}", Format::Chat, "hint: each line is {\"messages\"");
    check("", Format::Jsonl, "there is no text in the input");
}

#[test]
fn a_damaged_shard_is_refused() {
    let (folder, ..) = check(TEXT, Format::Text);
    let path = folder.path().join("data/shard-00000.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Dataset::open(&folder.path().join("data")).unwrap_err().to_string();
    assert!(error.contains("shard-00000") && error.contains("SHA-256"), "{error}");
}
