//! Conversations straight from files: every format, every layout, resumed, left out, damaged.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use llada_train::{
    TrainError,
    config::{RunConfig, Training},
    data::Tally,
    metrics,
    run::{Event, Run},
    tokenizer,
};
use parquet::{
    data_type::{ByteArray, ByteArrayType},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use toml::Table;

use crate::{mutation::survives, run::bytes, told};

/// A folder with a tokenizer in `tokenizer/`.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let texts = std::iter::repeat_n("The cat sat on the mat; what is the sum of 1 and 2?\n", 3);
    tokenizer::train(texts, 300, &folder.path().join("tokenizer")).unwrap();
    folder
}

/// The settings of a run on `data` with new weights.
fn config(folder: &Path, data: &Path, out: &str, keys: &str) -> RunConfig {
    let text = format!(
        "out = {:?}\ndata = {data:?}\ntokenizer = {:?}\ndtype = \"f32\"\nbatch_size = 3\nsteps = 6\n\
         schedule = {{ lr = 1e-2, warmup_steps = 2 }}\n\
         model = {{ d_model = 16, n_layers = 1, n_heads = 2, mlp_hidden_size = 32, max_sequence_length = 96 }}",
        folder.join(out),
        folder.join("tokenizer"),
    );
    let tables = [text.parse::<Table>().unwrap(), keys.parse::<Table>().unwrap()];
    RunConfig::from_tables(Training::Sft, tables).unwrap()
}

/// Trains to the end, or until `stop_at` steps were made.
fn train(config: &RunConfig, stop_at: u64) -> Result<Tally, TrainError> {
    let mut run = Run::open(config.clone(), Training::Sft)?;
    let stop = AtomicBool::new(false);
    run.train(&stop, |event| {
        if let Event::Step(metrics) = event {
            stop.store(metrics.step == stop_at, Ordering::Relaxed);
        }
    })?;
    Ok(run.tally().unwrap())
}

fn losses(config: &RunConfig) -> Vec<f64> {
    metrics::read(&config.out.join("metrics.jsonl")).unwrap().iter().map(|line| line.loss).collect()
}

/// The question and the answer of the `i`-th of some conversations.
fn said(i: usize) -> [String; 2] {
    [format!("What is the sum of {i} and {i}?"), "the cat ".repeat(1 + i % 4)]
}

/// A conversation of two questions.
fn messages(i: usize) -> Value {
    let mut messages = Vec::new();
    for [question, answer] in [said(i), said(i + 1)] {
        messages.push(json!({"role": "user", "content": question}));
        messages.push(json!({"role": "assistant", "content": answer}));
    }
    messages.into()
}

fn write_lines(path: &Path, records: impl Iterator<Item = Value>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, records.map(|record| format!("{record}\n")).collect::<String>()).unwrap();
}

/// Writes texts as columns of a parquet file, in row groups of `rows_of_group` rows.
pub(crate) fn write_flat(path: &Path, columns: [&str; 2], rows: &[[impl AsRef<str>; 2]], rows_of_group: usize) {
    let schema =
        format!("message m {{ required binary {} (UTF8); required binary {} (UTF8); }}", columns[0], columns[1]);
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    for rows in rows.chunks(rows_of_group) {
        let mut group = file.next_row_group().unwrap();
        for column in 0..2 {
            let values: Vec<ByteArray> = rows.iter().map(|row| row[column].as_ref().into()).collect();
            let mut writer = group.next_column().unwrap().unwrap();
            writer.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            writer.close().unwrap();
        }
        group.close().unwrap();
    }
    file.close().unwrap();
}

/// Writes `messages` as Hugging Face's datasets store them: a list of structures.
fn write_nested(path: &Path, records: &[Value]) {
    let schema = "message m { optional group messages (LIST) { repeated group list { optional group element { \
                  optional binary content (UTF8); optional binary role (UTF8); } } } optional binary id (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for key in ["content", "role", "id"] {
        let (mut values, mut defined, mut repeated) = (Vec::<ByteArray>::new(), Vec::new(), Vec::new());
        for record in records {
            for (index, message) in record.as_array().unwrap().iter().enumerate().take(if key == "id" { 1 } else { 9 })
            {
                values.extend(message[key].as_str().map(ByteArray::from));
                defined.push(if key == "id" { 0 } else { 4 });
                repeated.push(i16::from(index > 0));
            }
        }
        let repeated = (key != "id").then_some(repeated.as_slice());
        let mut writer = group.next_column().unwrap().unwrap();
        writer.typed::<ByteArrayType>().write_batch(&values, Some(&defined), repeated).unwrap();
        writer.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn formats_and_files_change_nothing() {
    let folder = workplace();
    let at = folder.path();
    let pairs: Vec<[String; 2]> = (0..7).map(said).collect();
    let mut paths: Vec<PathBuf> =
        ["messages.jsonl", "sharegpt.jsonl", "alpaca.jsonl", "pairs.jsonl", "pairs.parquet", "hub"]
            .iter()
            .map(|name| at.join(name))
            .collect();
    let message = |role: &str, content: &String| json!({"role": role, "content": content});
    let of_messages =
        |[question, answer]: &[String; 2]| json!([message("user", question), message("assistant", answer)]);
    write_lines(&paths[0], pairs.iter().map(|pair| json!({"messages": of_messages(pair)})));
    write_lines(
        &paths[1],
        pairs.iter().map(|[question, answer]| {
            json!({"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]})
        }),
    );
    write_lines(&paths[2], pairs.iter().map(|pair| json!({"instruction": pair[0], "input": "", "output": pair[1]})));
    write_lines(&paths[3], pairs.iter().map(|pair| json!({"prompt": pair[0], "completion": pair[1]})));
    write_flat(&paths[4], ["prompt", "completion"], &pairs, 7);
    fs::create_dir_all(paths[5].join("data")).unwrap();
    write_nested(
        &paths[5].join("data/train-00000-of-00001.parquet"),
        &pairs.iter().map(of_messages).collect::<Vec<_>>(),
    );
    write_lines(&paths[5].join("data/test-00000-of-00001.jsonl"), std::iter::once(json!({"text": "not this"})));
    let list: Vec<Value> =
        pairs.iter().map(|pair| json!({"instruction": pair[0], "output": pair[1], "text": "[{\"\\"})).collect();
    paths.push(at.join("alpaca.json"));
    fs::write(&paths[6], format!("\u{feff}{:#}\n", Value::from(list))).unwrap();
    let mut expected: Option<Vec<f64>> = None;
    for (index, path) in paths.iter().enumerate() {
        let config = config(at, path, &format!("out-{index}"), "");
        let tally = train(&config, 0).unwrap();
        assert_eq!(tally, Tally { records: 7, ..Tally::default() });
        let losses = losses(&config);
        assert_eq!(losses.len(), 6);
        assert_eq!(expected.get_or_insert(losses.clone()), &losses, "{}", path.display());
    }
}

#[test]
fn a_resumed_stream_equals_an_uninterrupted_one() {
    let folder = workplace();
    let at = folder.path();
    let data = at.join("chats");
    write_lines(&data.join("a.jsonl"), (0..5).map(|i| json!({"messages": messages(i)})));
    write_lines(&data.join("b.jsonl"), (5..11).map(|i| json!({"messages": messages(i)})));
    let pairs: Vec<[String; 2]> = (0..9).map(said).collect();
    write_flat(&data.join("c.parquet"), ["instruction", "output"], &pairs, 4);
    for (name, keys) in [
        ("sampled", "steps = 16"),
        (
            "all",
            "steps = 16\nmicro_batch_size = 2\nsft = { turns = \"all\", padding = \"none\", complementary = true }",
        ),
        ("last", "steps = 16\ngroup_by_length = true\nsft = { turns = \"last\", padding = \"one_eos\" }"),
    ] {
        let whole = config(at, &data, &format!("whole-{name}"), keys);
        let tally = train(&whole, 0).unwrap();
        assert_eq!(tally, Tally { records: 20, ..Tally::default() });
        let parts = config(at, &data, &format!("parts-{name}"), keys);
        for stop_at in [1, 5, 7, 12, 0] {
            train(&parts, stop_at).unwrap();
        }
        assert!(bytes(&whole) == bytes(&parts), "{name}");
        assert_eq!(losses(&whole), losses(&parts));
        let other = config(at, &data, &format!("other-{name}"), &format!("{keys}\nseed = 1"));
        train(&other, 0).unwrap();
        assert_ne!(losses(&whole), losses(&other));
    }
    write_lines(&data.join("a.jsonl"), (0..6).map(|i| json!({"messages": messages(i)})));
    let error = train(&config(at, &data, "whole-all", "steps = 20"), 0).unwrap_err();
    assert!(matches!(error, TrainError::OtherData { .. }), "{error}");
}

#[test]
fn what_is_left_out_is_counted_by_reason() {
    let folder = workplace();
    let at = folder.path();
    let path = at.join("chats.jsonl");
    let turns = |roles: &[&str]| -> Value {
        let turns: Vec<Value> = roles.iter().map(|role| json!({"role": role, "content": "the cat"})).collect();
        json!({ "messages": turns })
    };
    let long =
        json!({"messages": [{"role": "user", "content": "7".repeat(200)}, {"role": "assistant", "content": "a"}]});
    let lines = [
        turns(&["user", "assistant"]),
        turns(&["user", "robot"]),
        turns(&["user"]),
        long,
        json!({"messages": "none"}),
        turns(&["system", "user", "assistant"]),
    ];
    let mut text: String = lines.iter().map(|line| format!("{line}\n\n")).collect();
    text.insert(0, '\u{feff}');
    text.insert_str(text.find("{\"messages\":\"none\"").unwrap(), "{\"messages\": [\n");
    fs::write(&path, &text).unwrap();
    let tally = train(&config(at, &path, "out", "batch_size = 2"), 0).unwrap();
    assert_eq!((tally.records, tally.left_out()), (2, 5));
    let reasons = tally.reasons();
    assert_eq!(
        reasons[..4],
        [
            "1 too long",
            "1 without an answer of the assistant",
            "1 of unknown roles (\"robot\" in 1)",
            "2 not of the format"
        ]
    );
    assert!(reasons[4..].iter().any(|reason| reason.contains("chats.jsonl, record 9: EOF")), "{reasons:?}");
    assert!(reasons[4..].iter().any(|reason| reason.contains("record 10: its messages are not a list")), "{reasons:?}");

    write_lines(&path, [turns(&["user"]), turns(&["user", "robot"])].into_iter());
    let error = train(&config(at, &path, "none", ""), 0).unwrap_err().to_string();
    assert!(error.contains("no record can be learned from: 1 without an answer"), "{error}");
}

/// What a run on these files says.
fn refusal(files: &[(&str, &[u8])], keys: &str) -> String {
    let folder = workplace();
    let data = folder.path().join("data");
    fs::create_dir_all(&data).unwrap();
    for (name, content) in files {
        fs::write(data.join(name), content).unwrap();
    }
    told(&train(&config(folder.path(), &data, "out", keys), 0).unwrap_err())
}

#[test]
fn damaged_and_foreign_files_are_refused_by_name() {
    let folder = workplace();
    let whole = folder.path().join("whole.parquet");
    write_flat(&whole, ["prompt", "completion"], &(0..5).map(said).collect::<Vec<_>>(), 2);
    let parquet = fs::read(&whole).unwrap();
    let half = &parquet[..parquet.len() / 2];
    let line = format!("{}\n", json!({"messages": messages(1)}));
    let cut = format!("{line}{}", &line[..line.len() / 2]);
    for (name, content, message) in [
        ("a.parquet", half, "a.parquet: not a parquet file that can be read"),
        ("a.parquet", &parquet[..4], "a.parquet: not a parquet file that can be read"),
        ("a.jsonl", cut.as_bytes(), "a.jsonl: line 2: EOF while parsing"),
        (
            "a.jsonl",
            b"{\"text\": \"a\", \"meta\": 1}",
            "a.jsonl: its records have meta, text, which is no known format\nhint: rename",
        ),
        ("a.json", b"[{\"messages\": []}]", "no record can be learned from: 1 without an answer"),
        ("a.json", b"[{\"messages\": []}, {\"messages\"", "a.json: its list is cut off"),
        ("a.json", b"[{\"messages\": []}, {\"messages\"}]", "a.json: record 2: expected `:`"),
        ("a.json", b"[{\"messages\": []}]\n[]", "a.json: something follows its list"),
        ("a.jsonl", b"7\n", "a.jsonl: line 1: it is no record"),
        ("a.jsonl", b"\n\n", "data: it has no records"),
        ("a.csv", b"prompt,completion", "no file ends with .jsonl, .json, .parquet"),
    ] {
        let error = refusal(&[(name, content)], "");
        assert!(error.contains(message), "{name}: {error}");
    }
    let good = ("good.jsonl", line.as_bytes());
    for (keys, message) in [
        ("sft.max_length = 97", "sft.max_length is 97\nhint: the model's max_sequence_length is 96"),
        ("sft.split = \"test\"", "sft.split is test\nhint: the data has train"),
        ("sft.config_name = \"a\"", "sft.config_name is a"),
        ("sft.format = \"alpaca\"", "no record can be learned from: 1 not of the format"),
    ] {
        let error = refusal(&[good], keys);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn damaged_streams_are_errors_or_runs() {
    let folder = workplace();
    let data = folder.path().join("data");
    fs::create_dir_all(&data).unwrap();
    let out = folder.path().join("out");
    let open = |file: &Path, content: &[u8]| {
        fs::write(file, content).unwrap();
        drop(fs::remove_dir_all(&out));
        if let Err(error) = train(&config(folder.path(), &data, "out", "steps = 1\nbatch_size = 2"), 0) {
            assert!(!error.to_string().is_empty());
        }
    };
    let lines = data.join("a.jsonl");
    write_lines(&lines, (0..2).map(|i| json!({"messages": messages(i)})));
    let whole = fs::read(&lines).unwrap();
    survives(24, &whole, |bytes| open(&lines, bytes));
    fs::remove_file(&lines).unwrap();
    let list = data.join("a.json");
    let whole = json!([{"messages": messages(1)}, {"messages": messages(2)}]).to_string();
    survives(24, whole.as_bytes(), |bytes| open(&list, bytes));
    fs::remove_file(&list).unwrap();
    let parquet = data.join("a.parquet");
    write_nested(&parquet, &[messages(1), messages(2)]);
    let whole = fs::read(&parquet).unwrap();
    survives(48, &whole, |bytes| open(&parquet, bytes));
    fs::remove_file(&parquet).unwrap();
    write_lines(&data.join("train.jsonl"), (0..2).map(|i| json!({"messages": messages(i)})));
    let card = data.join("README.md");
    let header =
        b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: \"*.jsonl\"\n---\n";
    survives(24, header, |bytes| open(&card, bytes));
}
