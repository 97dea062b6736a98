//! Validation on conversations as files have them: as if they had been prepared.

use std::{fs, path::Path};

use llada_model::Tokenizer;
use llada_train::{
    config::{RunConfig, Training},
    data::prepare::{Format, Options, prepare},
    metrics,
    run::Run,
};
use serde_json::json;
use toml::Table;

use crate::{fixture, run::train, told};

/// Conversations with one answer each.
fn lines(numbers: std::ops::Range<usize>) -> String {
    let line = |i: usize| {
        let said = [
            json!({"role": "user", "content": format!("{i}?")}),
            json!({"role": "assistant", "content": "it is ".repeat(i)}),
        ];
        json!({"messages": said}).to_string() + "\n"
    };
    numbers.map(line).collect()
}

fn config(folder: &Path, validation: &str, keys: &str) -> RunConfig {
    let text = format!(
        "out = {:?}\ndata = {:?}\ninit = {:?}\nvalidation = {:?}\ndtype = \"f32\"\nbatch_size = 2\nsteps = 2\n\
         validate_every = 1\nvalidation_rows = 9\nmc_num = 4",
        folder.join("out").join(validation),
        folder.join("train.jsonl"),
        fixture("tiny-llada"),
        folder.join(validation),
    );
    let tables = [text.parse::<Table>().unwrap(), keys.parse::<Table>().unwrap()];
    RunConfig::from_tables(Training::Sft, tables).unwrap()
}

#[test]
fn conversations_are_validated_on_as_if_they_were_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("train.jsonl"), lines(0..6)).unwrap();
    fs::write(at.join("some.jsonl"), lines(1..5)).unwrap();
    fs::create_dir_all(at.join("hub/data")).unwrap();
    for (split, numbers) in [("train", 5..9), ("validation", 1..5), ("test", 7..8)] {
        fs::write(at.join(format!("hub/data/{split}-00000-of-00001.jsonl")), lines(numbers)).unwrap();
    }
    let options = Options { format: Format::Chat, max_length: 256, answer_length: 1 };
    let tokenizer = Tokenizer::open(&fixture("tiny-llada")).unwrap().unwrap();
    prepare(&[at.join("some.jsonl")], options, tokenizer, &at.join("prepared"), |_| ()).unwrap();
    let bits = |validation: &str, keys: &str| -> Vec<[Option<f64>; 2]> {
        let config = config(at, validation, keys);
        train(&config, Training::Sft, 0).unwrap();
        let lines = metrics::read(&config.out.join("metrics.jsonl")).unwrap();
        lines.iter().map(|line| [line.validation_bits_per_token, line.validation_bits_per_byte]).collect()
    };
    let prepared = bits("prepared", "");
    assert!(prepared.concat().iter().all(|bits| bits.is_some_and(|bits| bits > 0.0)), "{prepared:?}");
    assert_eq!(bits("some.jsonl", ""), prepared);
    // Of a folder the split for it; what is said of the data's split holds for that alone.
    assert_eq!(bits("hub", ""), prepared);
    fs::remove_dir_all(at.join("out")).unwrap();
    // All answers are learned, and the last are validated.
    let all = bits("some.jsonl", "sft.turns = \"all\"");
    assert_eq!(all, prepared);
}

#[test]
fn what_is_left_out_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("train.jsonl"), lines(0..6)).unwrap();
    let silent = "{\"messages\": [{\"role\": \"user\", \"content\": \"hm\"}]}\n";
    fs::write(at.join("some.jsonl"), silent.to_owned() + &lines(1..3) + silent + &lines(3..9) + silent).unwrap();
    let run = Run::open(config(at, "some.jsonl", "validation_rows = 4"), Training::Sft).unwrap();
    let tally = run.validation_tally().unwrap();
    // The last is not reached.
    assert_eq!((tally.records, tally.without_answer, tally.left_out()), (4, 2, 2));
}

#[test]
fn what_cannot_be_validated_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("train.jsonl"), lines(0..6)).unwrap();
    fs::write(at.join("silent.jsonl"), "{\"messages\": [{\"role\": \"user\", \"content\": \"hm\"}]}\n").unwrap();
    fs::write(at.join("other.jsonl"), "{\"text\": \"hm\"}\n").unwrap();
    for (validation, message) in [
        ("silent.jsonl", "silent.jsonl: no record can be learned from: 1 without an answer of the assistant"),
        ("other.jsonl", "other.jsonl: its records have text, which is no known format"),
        ("nowhere", "nowhere/dataset.json"),
    ] {
        let error = told(&Run::open(config(at, validation, ""), Training::Sft).unwrap_err());
        assert!(error.contains(message), "{error}");
    }
}
