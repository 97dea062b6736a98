//! Files damaged in arbitrary ways: records or an error, in bounded time, never a panic. `LLADA_FUZZ_CASES` sets how many
//! files are tried.

use std::{env, fs, path::Path, time::Instant};

use llada_eval::{Style, TASKS, read};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestCaseError, TestRunner},
};
use tempfile::tempdir;

use crate::fixture;

/// An edit of a file's bytes; places are parts of 2^16 of its length.
#[derive(Debug, Clone)]
enum Edit {
    Change(u16, u8),
    Cut(u16, u8),
    Insert(u16, Vec<u8>),
    Duplicate(u16, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    // Besides arbitrary bytes, those that mean something to some reader.
    let byte = prop_oneof![
        any::<u8>(),
        Just(0),
        Just(0x7f),
        Just(0xff),
        Just(b'"'),
        Just(b'{'),
        Just(b'['),
        Just(b','),
        Just(b'\n')
    ];
    prop_oneof![
        (any::<u16>(), byte.clone()).prop_map(|(at, byte)| Edit::Change(at, byte)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, length)| Edit::Cut(at, length)),
        (any::<u16>(), vec(byte, 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, length)| Edit::Duplicate(at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let place = |at: u16| (usize::from(at) * bytes.len()) >> 16;
    let stretch = |at: u16, length: u8| place(at)..bytes.len().min(place(at) + usize::from(length));
    match edit {
        Edit::Change(at, byte) => {
            let at = place(*at);
            bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
        }
        Edit::Cut(at, length) => drop(bytes.drain(stretch(*at, *length))),
        Edit::Insert(at, inserted) => {
            let at = place(*at);
            bytes.splice(at..at, inserted.iter().copied());
        }
        Edit::Duplicate(at, length) => {
            let stretch = stretch(*at, *length);
            let copy = bytes[stretch.clone()].to_vec();
            bytes.splice(stretch.end..stretch.end, copy);
        }
    }
}

/// The fixtures that are damaged, and the names that say what they are.
fn files() -> Vec<(String, Vec<u8>)> {
    let named = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap().to_owned();
        (name, fs::read(path).unwrap())
    };
    let of = |folder: &Path| -> Vec<_> {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths
            .retain(|path| path.extension().is_some_and(|kind| kind == "parquet" || kind == "jsonl" || kind == "json"));
        paths.sort();
        paths
    };
    let paths = [of(&fixture("")), of(&fixture("parquet"))].concat();
    let table = "Puzzle,Solution\n1230341221434320,1234341221434321\n\"0004432131421203\",2134432131421243\n";
    let mut files: Vec<_> = paths.iter().map(|path| named(path)).collect();
    files.push(("table.csv".to_owned(), table.into()));
    files
}

/// Reads the file and asks every task about its records, and answers something.
fn use_records(path: &Path) {
    let Ok(records) = read(path) else {
        return;
    };
    for record in records.iter().take(8) {
        for task in TASKS {
            if let Ok(llada_eval::Question::Generation(asked)) = task.question(record, Style::Plain) {
                let _ = asked
                    .judge("so <answer>1 + 2</answer> #### 3\nFinal Answer: The final answer is $\\frac12$. I hope");
            }
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    const SECONDS: u64 = 20;
    let cases = env::var("LLADA_FUZZ_CASES").map_or(300, |cases| cases.parse().unwrap());
    let files = files();
    let folder = tempdir().unwrap();
    let damaged = (0..files.len(), vec(edit(), 1..6));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()));
    let result = runner.run(&damaged, |(file, edits)| {
        let (name, mut bytes) = files[file].clone();
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let start = Instant::now();
        use_records(&path);
        match start.elapsed().as_secs() {
            0..SECONDS => Ok(()),
            seconds => Err(TestCaseError::fail(format!("{seconds} s"))),
        }
    });
    result.unwrap();
}
