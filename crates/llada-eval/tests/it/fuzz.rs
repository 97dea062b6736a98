//! Files damaged in arbitrary ways: records or an error, in bounded time, never a panic.

use std::{fs, path::Path};

use llada_eval::{BENCHMARKS, Style, read};
use tempfile::tempdir;

use crate::{fixture, mutation::survives};

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
        for task in BENCHMARKS {
            if let Ok(llada_eval::Question::FreeForm(asked)) = task.question(record, Style::Plain) {
                let _ = asked
                    .judge("so <answer>1 + 2</answer> #### 3\nFinal Answer: The final answer is $\\frac12$. I hope");
            }
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let files = files();
    let each = 300_u32.div_ceil(files.len() as u32);
    let folder = tempdir().unwrap();
    for (name, whole) in &files {
        let path = folder.path().join(name);
        survives(each, whole, |bytes| {
            fs::write(&path, bytes).unwrap();
            use_records(&path);
        });
    }
}
