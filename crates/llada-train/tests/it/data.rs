//! From text to shards and back.

use std::fs;

use llada_model::Tokenizer;
use llada_train::{
    data::{
        Dataset, DatasetKind,
        prepare::{Format, Options, Prepared, Remarks, prepare},
    },
    tokenizer,
};
use tempfile::TempDir;

use crate::{mutation::survives, told};

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
    let error = told(&tokenizer::train([TEXT].into_iter(), 100, &folder.path().join("small")).unwrap_err());
    assert!(error.contains("vocab_size is 100") && error.contains("262 at least"), "{error}");
}

fn options(format: Format) -> Options {
    Options { format, max_length: 64, answer_length: 6 }
}

fn open(folder: &TempDir) -> Tokenizer {
    Tokenizer::open(&folder.path().join("tokenizer")).unwrap().unwrap()
}

/// Prepares `content` and opens what came of it.
fn check(content: &str, format: Format) -> (TempDir, Tokenizer, Prepared, Dataset) {
    let (folder, tokenizer) = workplace();
    let input = folder.path().join("input");
    fs::write(&input, content).unwrap();
    let out = folder.path().join("data");
    let prepared = prepare(&[input], options(format), tokenizer, &out, |_| ()).unwrap();
    let (tokenizer, data) = (open(&folder), Dataset::open(&out).unwrap());
    (folder, tokenizer, prepared, data)
}

#[test]
fn a_text_file_is_one_document() {
    let (_folder, tokenizer, prepared, data) = check(TEXT, Format::Text);
    assert_eq!(prepared, Prepared { items: 1, bytes: TEXT.len() as u64, ..Prepared::default() });
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
    assert_eq!((prepared.items, data.kind()), (1, DatasetKind::Pretrain));
    assert_eq!(tokenizer.decode(&data.read(&[0], data.tokens() as usize).ids).unwrap(), "cat?\nhat");
}

#[test]
fn every_answer_of_a_chat_is_a_record() {
    let turn = |role: &str, content: &str| format!(r#"{{"role": "{role}", "content": "{content}"}}"#);
    let chat = [turn("user", "cat?"), turn("assistant", "hat"), turn("user", "mat?"), turn("assistant", "sat")];
    let long = turn("assistant", &"long ".repeat(100));
    let lines = format!("{{\"messages\": [{}]}}\n{{\"messages\": [{long}]}}\n", chat.join(", "));
    let (_folder, tokenizer, prepared, data) = check(&lines, Format::Chat);
    assert_eq!((prepared.items, prepared.too_long, data.kind()), (2, 1, DatasetKind::Sft));
    let prompt_length = |row: usize| data.read(&[row], 0).answers.unwrap().prompt_length();
    let prompts = [prompt_length(0), prompt_length(1)];
    let rows = data.read(&[0, 1], 0);
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
fn null_keys_and_byte_order_marks_are_nothing() {
    let chat = r#"{"messages": [{"role": "user", "content": "cat?", "name": null, "weight": null},
        {"role": "assistant", "content": "hat", "tool_calls": null}], "tools": null}"#;
    let chat = chat.replace('\n', " ");
    for (text, format) in
        [(TEXT, Format::Text), ("{\"text\": \"a cat\", \"meta\": null}", Format::Jsonl), (&chat, Format::Chat)]
    {
        let (_folder, _, prepared, data) = check(text, format);
        let (_other, _, marked, same) = check(&format!("\u{feff}{text}"), format);
        assert_eq!((prepared.items, marked.items), (1, 1));
        assert_eq!(data.digest(), same.digest());
    }
}

#[test]
fn conversations_without_a_known_answer_are_told() {
    let line = |roles: &[&str]| {
        let turns: Vec<String> =
            roles.iter().map(|role| format!(r#"{{"role": "{role}", "content": "cat"}}"#)).collect();
        format!("{{\"messages\": [{}]}}\n", turns.join(", "))
    };
    let lines = [
        line(&["system", "user", "assistant"]),
        line(&["human", "gpt", "human", "gpt"]),
        line(&["human", "assistant"]),
        line(&["user"]),
    ];
    let (_folder, _, prepared, _) = check(&lines.concat(), Format::Chat);
    assert_eq!(prepared.items, 1);
    let unknown_roles = [("gpt".to_owned(), 1), ("human".to_owned(), 2)].into();
    let remarks = Remarks { of_unknown_roles: 2, unknown_roles, without_answer: 1, ..Remarks::default() };
    assert_eq!(prepared.remarks, remarks);
}

#[test]
fn a_mask_in_the_text_is_text_and_an_end_is_an_end() {
    let text = "The mask is <|mdm_mask|>, <|mdm_mask|>.\n\nAn end<|endoftext|>.\n";
    let (_folder, tokenizer, prepared, data) = check(text, Format::Text);
    assert_eq!((prepared.remarks.masks, prepared.remarks.ends), (2, 1));
    let ids = data.read(&[0], data.tokens() as usize).ids;
    assert!(!ids.iter().any(|&id| Some(id) == tokenizer.mask_id()));
    assert_eq!(ids.iter().filter(|&&id| Some(id) == tokenizer.eos_id()).count(), 2);
    assert_eq!(tokenizer.decode(&ids).unwrap(), text.replace("<|endoftext|>", ""));
    let chat = r#"{"messages": [{"role": "user", "content": "<|mdm_mask|>?"}, {"role": "assistant", "content": "<|mdm_mask|>"}]}"#;
    let (_folder, tokenizer, prepared, data) = check(chat, Format::Chat);
    assert_eq!(prepared.remarks.masks, 2);
    let rows = data.read(&[0], 0);
    assert!(!rows.ids.iter().any(|&id| Some(id) == tokenizer.mask_id()));
    assert_eq!(tokenizer.decode(&rows.ids[rows.answers.unwrap().prompt_length()..]).unwrap(), "<|mdm_mask|>");
}

#[test]
fn what_the_tokenizer_adds_by_itself_begins_a_document_once() {
    let (folder, tokenizer) = workplace();
    let path = folder.path().join("tokenizer/tokenizer.json");
    let mut file: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let ids = [tokenizer.encode("<|startoftext|>").unwrap()[0], tokenizer.eos_id().unwrap()];
    let special = |token: &str, id: u32| serde_json::json!({"id": token, "ids": [id], "tokens": [token]});
    let piece = |token: &str| serde_json::json!({"SpecialToken": {"id": token, "type_id": 0}});
    let sequence = serde_json::json!({"Sequence": {"id": "A", "type_id": 0}});
    file["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [piece("<|startoftext|>"), sequence, piece("<|endoftext|>")],
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|startoftext|>": special("<|startoftext|>", ids[0]), "<|endoftext|>": special("<|endoftext|>", ids[1])},
    });
    fs::write(&path, file.to_string()).unwrap();
    for (text, format, documents) in
        [(TEXT, Format::Text, 1), ("{\"text\": \"a cat\"}\n{\"text\": \"a hat\"}", Format::Jsonl, 2)]
    {
        let (input, out) = (folder.path().join("input"), folder.path().join(format!("data-{documents}")));
        fs::write(&input, text).unwrap();
        prepare(&[input], options(format), open(&folder), &out, |_| ()).unwrap();
        let data = Dataset::open(&out).unwrap();
        let found = data.read(&[0], data.tokens() as usize).ids;
        for id in ids {
            assert_eq!(found.iter().filter(|&&other| other == id).count(), documents);
        }
        assert_eq!((found[0], found[found.len() - 1]), (ids[0], ids[1]));
    }
}

#[test]
fn damaged_conversations_are_errors_or_records() {
    let (folder, _) = workplace();
    let whole =
        br#"{"messages": [{"role": "user", "content": "cat? <|mdm_mask|>"}, {"role": "assistant", "content": "hat"}]}
        {"messages": [{"role": "system", "content": "mat", "name": null}, {"content": "sat", "role": "assistant"}]}"#;
    let (input, out) = (folder.path().join("input"), folder.path().join("data"));
    survives(64, whole, |bytes| {
        fs::write(&input, bytes).unwrap();
        if prepare(std::slice::from_ref(&input), options(Format::Chat), open(&folder), &out, |_| ()).is_ok() {
            fs::remove_dir_all(&out).unwrap();
        }
        assert!(!out.exists());
    });
}

#[test]
fn what_is_wrong_with_the_input_is_told() {
    let (folder, _) = workplace();
    let input = folder.path().join("input.jsonl");
    let out = folder.path().join("data");
    let check = |content: &str, format, message: &str| {
        fs::write(&input, content).unwrap();
        let prepared = prepare(std::slice::from_ref(&input), options(format), open(&folder), &out, |_| ());
        let error = told(&prepared.unwrap_err());
        assert!(error.contains(message), "{error}");
        assert!(!out.exists(), "half a dataset was left");
    };
    check("{\"text\": \"a\"}\n{\"txt\": 1}", Format::Jsonl, "line 2: neither `text` nor `messages`");
    check("{\"text\": \"a\"}", Format::Chat, "hint: each line is {\"messages\"");
    check("", Format::Jsonl, "there is no text in the input\nhint: is the format right?");
    fs::create_dir(&out).unwrap();
    let prepared = prepare(std::slice::from_ref(&input), options(Format::Text), open(&folder), &out, |_| ());
    assert!(told(&prepared.unwrap_err()).contains("it exists already\nhint: out FOLDER"));
}

#[test]
fn a_damaged_shard_is_refused() {
    let (folder, ..) = check(TEXT, Format::Text);
    let path = folder.path().join("data/shard-00000.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = told(&Dataset::open(&folder.path().join("data")).unwrap_err());
    assert!(error.contains("shard-00000") && error.contains("SHA-256)\nhint: prepare the dataset again"), "{error}");
}
