//! Models in several files.

use std::{fs, path::Path};

use llada_gguf::{GgmlType, Gguf, Value};
use tempfile::TempDir;

use crate::{mutation::survives, writer::Writer};

/// The keys of part `number` of `count`.
fn part(number: u64, count: u64) -> Writer {
    let mut file = Writer::default();
    file.key("split.no", Value::Unsigned(number));
    file.key("split.count", Value::Unsigned(count));
    file.key("split.tensors.count", Value::Signed(3));
    file
}

fn tensor(file: &mut Writer, name: &str, values: [f32; 2]) {
    file.tensor(name, &[2], GgmlType::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect());
}

fn name(number: u64) -> String {
    format!("my-model-0000{number}-of-00003.gguf")
}

/// Three files: the keys and no tensor, one, and two.
fn parts() -> [Writer; 3] {
    let mut parts = [0, 1, 2].map(|number| part(number, 3));
    parts[0].key("general.architecture", Value::Text("llama".to_owned()));
    tensor(&mut parts[1], "b", [1.0, 2.0]);
    tensor(&mut parts[2], "c", [3.0, 4.0]);
    tensor(&mut parts[2], "a", [5.0, 6.0]);
    parts
}

fn written(parts: [Writer; 3]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, part) in (1..).zip(parts) {
        fs::write(folder.path().join(name(number)), part.bytes()).unwrap();
    }
    folder
}

fn refusal(folder: &Path, number: u64) -> String {
    Gguf::open(&folder.join(name(number))).unwrap_err().to_string()
}

#[test]
fn any_part_opens_the_whole_model() {
    let folder = written(parts());
    for number in 1..=3 {
        let file = Gguf::open(&folder.path().join(name(number))).unwrap();
        assert!(file.path().ends_with(name(1)));
        assert_eq!(file.text("general.architecture").unwrap(), Some("llama"));
        assert_eq!(file.tensors().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "c"]);
        for (name, values) in [("a", [5.0, 6.0]), ("b", [1.0, 2.0]), ("c", [3.0, 4.0])] {
            assert_eq!(file.read(name).unwrap(), values);
        }
    }
}

#[test]
fn missing_parts_are_named() {
    let folder = written(parts());
    fs::remove_file(folder.path().join(name(1))).unwrap();
    fs::remove_file(folder.path().join(name(3))).unwrap();
    let error = refusal(folder.path(), 2);
    let expected = ": part of a model in 3 files; missing: my-model-00001-of-00003.gguf, \
                    my-model-00003-of-00003.gguf";
    assert!(error.ends_with(expected), "{error}");
    // A hostile count is no list of as many names.
    let path = folder.path().join("x-00001-of-65535.gguf");
    fs::write(&path, part(0, 65535).bytes()).unwrap();
    let error = Gguf::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("x-00004-of-65535.gguf, 65531 more"), "{error}");
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    type Change = fn(&mut [Writer; 3]);
    let cases: [(Change, &str); 5] = [
        (|parts| parts[1] = part(2, 3), "00002-of-00003.gguf: split.no: it is 2, and by the file's name 1"),
        (|parts| parts[2] = part(2, 4), "00003-of-00003.gguf: split.count: it is 4, and by the file's name 3"),
        (
            |parts| parts[2] = Writer::default(),
            "00003-of-00003.gguf: split.no: it is missing, and by the file's name 2",
        ),
        (|parts| tensor(&mut parts[1], "a", [0.0; 2]), "00003-of-00003.gguf: tensor a: "),
        (|parts| tensor(&mut parts[1], "d", [0.0; 2]), "split.tensors.count: 3 tensors are promised, and 4 are there"),
    ];
    for (change, message) in cases {
        let mut parts = parts();
        change(&mut parts);
        let error = refusal(written(parts).path(), 1);
        assert!(error.contains(message), "{error}");
    }
    let folder = written(parts());
    fs::rename(folder.path().join(name(2)), folder.path().join("second.gguf")).unwrap();
    let error = Gguf::open(&folder.path().join("second.gguf")).unwrap_err().to_string();
    assert!(error.contains("split.no: the file's name has to end with -00002-of-00003.gguf"), "{error}");
    fs::write(folder.path().join(name(2)), part(7, 3).bytes()).unwrap();
    assert!(refusal(folder.path(), 2).contains("split.no: it is no number below 3"));
    fs::write(folder.path().join(name(2)), part(1, 70_000).bytes()).unwrap();
    assert!(refusal(folder.path(), 2).contains("split.count: 70000 is more than 65535"));
}

#[test]
fn a_damaged_part_is_an_error_or_a_part() {
    let folder = written(parts());
    let path = folder.path().join(name(2));
    survives(64, &fs::read(&path).unwrap(), |bytes| {
        fs::write(&path, bytes).unwrap();
        if let Err(error) = Gguf::open(&folder.path().join(name(1))) {
            assert!(!error.to_string().is_empty());
        }
    });
}
