//! Several datasets in one run: their shares, and that a run goes on bit for bit.

use std::{fs, path::Path};

use llada_train::{
    config::{RunConfig, Training},
    data::{DatasetKind, DatasetWriter},
    metrics,
    run::Run,
};
use serde_json::json;
use tempfile::TempDir;
use toml::Table;

use crate::{
    fixture,
    run::{bytes, train},
    told,
};

/// A folder with prepared datasets `p1`, `p2` of documents and `s1`, `s2` of records, and with files of conversations
/// `a.jsonl` and `b.jsonl`, in which a record cannot be read.
pub(crate) fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (name, kind, count) in [
        ("p1", DatasetKind::Pretrain, 40),
        ("p2", DatasetKind::Pretrain, 9),
        ("s1", DatasetKind::Sft, 23),
        ("s2", DatasetKind::Sft, 5),
    ] {
        let mut writer = DatasetWriter::create(&at.join(name), kind, 500, 508).unwrap();
        for document in 0..count {
            let ids: Vec<u32> = (0..11 + document % 5).map(|i| (document * 31 + i * i) % 500).collect();
            match kind {
                DatasetKind::Pretrain => {
                    writer.part(&ids, ids.len()).unwrap();
                    writer.end().unwrap();
                }
                DatasetKind::Sft => writer.record(&ids[..4], &ids[4..], ids.len()).unwrap(),
            }
        }
        writer.finish().unwrap();
    }
    for (name, count, last) in [("a.jsonl", 11, ""), ("b.jsonl", 4, "{\"prompt\": 1, \"completion\": 2}\n")] {
        let record = |i: usize| json!({"prompt": format!("what is {i}?"), "completion": "it is ".repeat(i) + name});
        let lines: String = (0..count).map(|i| record(i).to_string() + "\n").collect();
        fs::write(at.join(name), lines + last).unwrap();
    }
    folder
}

pub(crate) fn config(folder: &Path, kind: Training, out: &str, data: &[(&str, f64)], keys: &str) -> RunConfig {
    let parts: Vec<String> = data
        .iter()
        .map(|(name, weight)| format!("{{ path = {:?}, weight = {weight:?} }}", folder.join(name)))
        .collect();
    let row_length = if kind == Training::Pretrain { "row_length = 6" } else { "" };
    let text = format!(
        "out = {:?}\ndata = [{}]\ninit = {:?}\ndtype = \"f32\"\n{row_length}\nbatch_size = 4\nsteps = 12\n\
         stratified_t = true\nschedule.warmup_steps = 2",
        folder.join(out),
        parts.join(", "),
        fixture("tiny-llada"),
    );
    let tables = [text.parse::<Table>().unwrap(), keys.parse::<Table>().unwrap()];
    RunConfig::from_tables(kind, tables).unwrap()
}

#[test]
fn a_resumed_run_on_a_mixture_equals_an_uninterrupted_one() {
    let folder = workplace();
    for (case, (kind, data)) in [
        (Training::Pretrain, vec![("p1", 0.7), ("p2", 0.3)]),
        (Training::Sft, vec![("s1", 2.0), ("s2", 1.0)]),
        (Training::Sft, vec![("a.jsonl", 1.0), ("b.jsonl", 1.0)]),
        (Training::Sft, vec![("b.jsonl", 0.5), ("s1", 3.0), ("a.jsonl", 1.0)]),
    ]
    .into_iter()
    .enumerate()
    {
        let [whole, parts] =
            ["whole", "parts"].map(|out| config(folder.path(), kind, &format!("{out}-{case}"), &data, ""));
        train(&whole, kind, 0).unwrap();
        for stop_at in [1, 2, 5, 9, 0] {
            train(&parts, kind, stop_at).unwrap();
        }
        assert!(bytes(&whole) == bytes(&parts), "{data:?}");
        let losses = |config: &RunConfig| -> Vec<f64> {
            metrics::read(&config.out.join("metrics.jsonl")).unwrap().iter().map(|line| line.loss).collect()
        };
        assert_eq!(losses(&whole), losses(&parts), "{data:?}");
    }
}

#[test]
fn what_was_left_out_is_told_of_all_datasets() {
    let folder = workplace();
    let data = [("a.jsonl", 1.0), ("b.jsonl", 3.0)];
    let config = config(folder.path(), Training::Sft, "tally", &data, "");
    let (run, _) = train(&config, Training::Sft, 0).unwrap();
    let tally = run.tally().unwrap();
    assert_eq!((tally.records, tally.malformed), (15, 1), "{tally:?}");
    assert!(tally.malformed_places[0].path.ends_with("b.jsonl"));
}

#[test]
fn mixtures_that_cannot_be_are_refused() {
    let folder = workplace();
    let at = folder.path();
    let told_of = |kind, data: &str, keys: &str| {
        let text = format!(
            "out = \"o\"\ndata = {data}\ninit = {:?}\nsteps = 1\nbatch_size = 2\n{keys}",
            fixture("tiny-llada")
        );
        let config = RunConfig::from_tables(kind, [text.parse::<Table>().unwrap()]);
        told(&config.and_then(|config| Run::open(config, kind)).unwrap_err())
    };
    let list =
        |names: [&str; 2]| format!("[{{ path = {:?} }}, {{ path = {:?} }}]", at.join(names[0]), at.join(names[1]));
    for (kind, data, keys, message) in [
        (Training::Sft, "[]".to_owned(), "", "data is an empty list\nhint: say what to train on"),
        (
            Training::Sft,
            "[{ path = \"x\", weight = 0.0 }]".to_owned(),
            "",
            "data.weight is 0\nhint: give x a positive share",
        ),
        (
            Training::Sft,
            "[{ path = \"x\", wait = 1.0 }]".to_owned(),
            "",
            "unknown field `wait`, expected `path` or `weight`",
        ),
        (Training::Sft, "[\"x\"]".to_owned(), "", "invalid type: string"),
        (Training::Sft, "7".to_owned(), "", "expected a path, or a list of tables with path and weight"),
        (Training::Sft, list(["s1", "p1"]), "", "p1: it was prepared for another kind of training"),
        (
            Training::Sft,
            list(["s1", "a.jsonl"]),
            "group_by_length = true",
            "hint: rows of several datasets are not grouped",
        ),
        (Training::Sft, list(["s1", "a.jsonl"]), "sft.turns = \"all\"", "s1 was prepared and has settled it"),
        (
            Training::Preference,
            list(["a.jsonl", "b.jsonl"]),
            "",
            "data is a list\nhint: pre-training and fine-tuning alone",
        ),
    ] {
        let error = told_of(kind, &data, keys);
        assert!(error.contains(message), "{data}: {error}");
    }
    let other = DatasetWriter::create(&at.join("s3"), DatasetKind::Sft, 500, 7);
    let mut other = other.unwrap();
    other.record(&[1], &[2], 2).unwrap();
    other.finish().unwrap();
    let error = told_of(Training::Sft, &list(["s1", "s3"]), "");
    assert!(
        error.contains("data has end of text 7 in ") && error.contains("prepare them with one tokenizer"),
        "{error}"
    );

    let data = [("s1", 1.0), ("s2", 1.0)];
    train(&config(at, Training::Sft, "other", &data, ""), Training::Sft, 3).unwrap();
    let other = config(at, Training::Sft, "other", &[("s1", 1.0), ("s2", 2.0)], "");
    let error = Run::open(other, Training::Sft).unwrap_err().to_string();
    assert!(error.contains("it was trained on other data"), "{error}");
}
