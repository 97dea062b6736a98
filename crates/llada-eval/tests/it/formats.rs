//! The same records out of every kind of file in which they are published.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use llada_eval::{Style, read};
use tempfile::tempdir;

use crate::{choice, complaint, fixture, generation, task};

const MARK: &str = "\u{feff}";

fn prompts(path: &Path, name: &str) -> Vec<String> {
    let asked = |record| generation(task(name).question(record, Style::Plain).unwrap()).prompt;
    read(path).unwrap().iter().map(asked).collect()
}

#[test]
fn json_has_many_forms() {
    let one = r#"{"question": "1?", "answer": "2"}"#;
    let pretty = "{\n  \"question\": \"1?\",\n  \"answer\": \"2\"\n}\n";
    let folder = tempdir().unwrap();
    for (name, text, count) in [
        ("lines.jsonl", format!("{one}\n{one}\n"), 2),
        ("windows.jsonl", format!("{one}\r\n\r\n{one}\r\n"), 2),
        ("no-end.jsonl", format!("{one}\n{one}"), 2),
        ("mark.jsonl", format!("{MARK}{one}\n{one}\n"), 2),
        ("array.json", format!("[{one}, {one}]"), 2),
        ("pretty-array.json", format!("{MARK} [\n{pretty},\n{pretty}]\n"), 2),
        ("object.json", pretty.to_owned(), 1),
        ("marked-object.json", format!("{MARK}{pretty}"), 1),
        ("objects.json", format!("{pretty}{pretty}\n\n{pretty}"), 3),
        ("name.txt", one.to_owned(), 1),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, &text).unwrap();
        assert_eq!(prompts(&path, "gsm8k"), vec!["Question: 1?\nAnswer:"; count], "{name}");
        let zipped = folder.path().join(format!("{name}.gz"));
        let mut encoder = GzEncoder::new(File::create(&zipped).unwrap(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
        assert_eq!(prompts(&zipped, "gsm8k"), vec!["Question: 1?\nAnswer:"; count], "{name}.gz");
    }
}

/// d1's file of sudokus: zeros in front are part of the puzzle.
#[test]
fn tables_are_texts() {
    let folder = tempdir().unwrap();
    let rows = "Puzzle,Solution\n1230341221434320,1234341221434321\n0004432131421203,2134432131421243\n";
    for (name, text) in [
        ("s.csv", rows.to_owned()),
        ("S.CSV", format!("{MARK}{rows}")),
        ("s.tsv", rows.replace(',', "\t")),
        ("windows.csv", rows.replace('\n', "\r\n")),
        ("quoted.csv", rows.replace("0004432131421203", "\"0004432131421203\"")),
        ("columns.csv", rows.replace("Puzzle,", "Puzzle,n,").replace("0,1", "0,7,1").replace("3,2", "3,,2")),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let prompts = prompts(&path, "sudoku");
        assert!(prompts.len() == 2 && prompts[1].contains(": 0004432131421203\n"), "{name}: {prompts:?}");
    }
    // Numbers and keys may be written as text, and a text may hold commas and lines.
    let path = folder.path().join("goals.csv");
    fs::write(&path, "goal,sol1,sol2,label\n\"To dry,\na towel\",bath,line,1\n").unwrap();
    let asked = choice(task("piqa").question(&read(&path).unwrap()[0], Style::Plain).unwrap());
    assert_eq!(asked.options[0].context, "Question: To dry,\na towel\nAnswer:");
    assert!(asked.options[1].right);
}

#[test]
fn keys_are_digits_or_letters() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("data.json");
    let right = |name: &str, record: &str| {
        fs::write(&path, record).unwrap();
        let asked = choice(task(name).question(&read(&path).unwrap()[0], Style::Plain).unwrap());
        asked.options.iter().position(|option| option.right).unwrap()
    };
    for (key, expected) in [("1", 1), ("\"1\"", 1), ("\" 1\"", 1), ("\"B\"", 1), ("0", 0), ("\"D\"", 3)] {
        let record =
            format!(r#"{{"question": "q", "subject": "s", "choices": ["1", "2", "3", "4"], "answer": {key}}}"#);
        assert_eq!(right("mmlu", &record), expected, "{key}");
    }
    for key in ["2", "\"2\""] {
        let record = format!(r#"{{"sentence": "a _ b", "option1": "x", "option2": "y", "answer": {key}}}"#);
        assert_eq!(right("winogrande", &record), 1, "{key}");
        let choices = r#"{"text": ["x", "y"], "label": ["1", "2"]}"#;
        let record = format!(r#"{{"question": "q", "choices": {choices}, "answerKey": {key}}}"#);
        assert_eq!(right("arc_easy", &record), 1, "{key}");
    }
    let own = r#"{"id": "M", "question": {"stem": "q", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},
                  "answerKey": "B"}"#;
    assert_eq!(right("arc_challenge", own), 1);
}

#[test]
fn damaged_files_are_named() {
    let folder = tempdir().unwrap();
    let cut = fs::read(fixture("parquet/codec_gzip.parquet")).unwrap();
    let utf_16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, expected) in [
        ("a.jsonl.gz", &[0x1f, 0x8b, 8, 0][..], "a.jsonl.gz: not a gzip file that can be read; hint: fetch it again"),
        ("a.parquet", &cut[..cut.len() - 9], "a.parquet: not a parquet file that can be read"),
        ("a.json", &utf_16, "a.json: UTF-16, where UTF-8 is expected; hint: iconv"),
        ("a.csv", b"a,b\n1\n", "a.csv: not a table that can be read: CSV error: record 1 (line: 2, byte: 4)"),
        ("a.csv", b"a,b,a\n1,2,3\n", "a.csv: two columns are called a"),
        ("a.csv", b"a,b\n1,\xff\n", "a.csv: not a table that can be read: CSV parse error"),
        ("a.csv", b"a,b\n", "a.csv holds no records"),
        ("a.csv", b"", "a.csv holds no records"),
        ("a.json", "\u{feff}".as_bytes(), "a.json holds no records"),
        ("a.json", b"{\"a\": 1}\n{\n\"a\": 1}", "a.json:2: not a JSON object"),
        ("a.json", b"{\n\"a\": 1}\n{\n\"a\" 1}", "a.json:4: not a JSON object"),
        ("a.json", b"question,answer\n1,2\n", "a.json:1: not a JSON object; records are JSON"),
        ("a.json", b"{\"a\": \"\xff\"}", "a.json:1: not a JSON object"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = complaint(&read(&path).unwrap_err());
        assert!(error.contains(expected), "{name}: {error}");
    }
}
