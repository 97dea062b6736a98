//! The files of a dataset: those of a split of a folder, by the rules of Hugging Face's `datasets`.
//!
//! The header of `README.md` (`configs`, with `data_files`) says which they are. Without, they are found by their
//! names: `data/train-00000-of-00010.parquet`, then folders and names with the word of a split, then all files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::card;
use crate::{TrainError, config::SftConfig};

/// How the names of files of records end.
const ENDINGS: [&str; 3] = ["jsonl", "json", "parquet"];

/// Files that describe a dataset (`datasets.data_files`).
const METADATA: [&str; 4] = ["config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"];

/// The splits with the words that name them (`datasets.data_files`).
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// The files by split.
pub(super) type Splits = BTreeMap<String, Vec<PathBuf>>;

/// The files of the split that `sft` names, in the order of their paths; `data` itself if it is a file.
///
/// # Errors
/// The folder cannot be read, has no files of records, or not that split or configuration.
pub(super) fn find(data: &Path, sft: &SftConfig) -> Result<Vec<PathBuf>, TrainError> {
    if !data.is_dir() {
        for (key, value) in [("sft.split", &sft.split), ("sft.config_name", &sft.config_name)] {
            if let Some(value) = value {
                return Err(TrainError::config(key, value, "the data is a file: leave it out, or give its folder"));
            }
        }
        return Ok(vec![data.to_owned()]);
    }
    let files = within(data, &ENDINGS)?;
    let split = sft.split.as_deref().unwrap_or("train");
    let splits = match card::splits(data, &files, sft.config_name.as_deref(), split)? {
        Some(splits) => splits,
        None => by_name(&files),
    };
    let Some(found) = splits.get(split).filter(|files| !files.is_empty()) else {
        let known: Vec<&str> = splits.keys().map(String::as_str).collect();
        return Err(TrainError::config("sft.split", split, format!("the data has {}", known.join(", "))));
    };
    Ok(found.iter().map(|file| data.join(file)).collect())
}

/// The files below `folder` whose names end with one of `endings`, by their paths in it and in the order of these.
///
/// # Errors
/// The folder cannot be read, or there is no such file.
pub(super) fn within(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, TrainError> {
    let mut files = Vec::new();
    list(folder, folder, endings, &mut files)?;
    files.sort_unstable();
    if files.is_empty() {
        return Err(TrainError::file(folder, format!("no file ends with .{}", endings.join(", ."))));
    }
    Ok(files)
}

/// Adds the files below `folder`, by their paths in `data`. Hidden ones and those of tools are none.
fn list(data: &Path, folder: &Path, endings: &[&str], files: &mut Vec<PathBuf>) -> Result<(), TrainError> {
    for entry in fs::read_dir(folder).map_err(TrainError::read(folder))? {
        let entry = entry.map_err(TrainError::read(folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(['.', '_']) || METADATA.contains(&name.as_ref()) {
            continue;
        }
        if entry.file_type().map_err(TrainError::read(&path))?.is_dir() {
            list(data, &path, endings, files)?;
        } else if path.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending))
            && let Ok(file) = path.strip_prefix(data)
        {
            files.push(file.to_owned());
        }
    }
    Ok(())
}

/// The splits that names tell. If none does, all files are `train`.
pub(super) fn by_name(files: &[PathBuf]) -> Splits {
    for split in [sharded, spelled] {
        let mut splits = Splits::new();
        for file in files {
            if let Some(split) = split(file) {
                splits.entry(split).or_default().push(file.clone());
            }
        }
        if !splits.is_empty() {
            return splits;
        }
    }
    Splits::from([("train".to_owned(), files.to_vec())])
}

/// The split of `data/SPLIT-00000-of-00010.parquet`.
fn sharded(file: &Path) -> Option<String> {
    let stem = file.strip_prefix("data").ok().filter(|rest| rest.components().count() == 1)?.file_stem()?.to_str()?;
    let (rest, _count) = stem.split_once("-of-")?;
    let (split, number) = rest.rsplit_once('-')?;
    (number.len() == 5 && number.bytes().all(|digit| digit.is_ascii_digit())).then(|| split.to_owned())
}

/// The split whose word is in the path, between other characters than letters.
fn spelled(file: &Path) -> Option<String> {
    let path = file.with_extension("");
    let path = path.to_str()?.to_lowercase();
    let words: Vec<&str> = path.split(|letter: char| !letter.is_alphabetic()).collect();
    let split = SPLITS.iter().find(|(_, names)| names.iter().any(|name| words.contains(name)));
    split.map(|(split, _)| (*split).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of the train split of a folder with these, and this header.
    fn found(files: &[&str], header: &str, sft: &SftConfig) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        if !header.is_empty() {
            fs::write(folder.path().join("README.md"), format!("---\n{header}\n---\n# Card\n")).unwrap();
        }
        let found = find(folder.path(), sft).map_err(|error| match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        })?;
        Ok(found.iter().map(|file| file.strip_prefix(folder.path()).unwrap().display().to_string()).collect())
    }

    fn split(split: &str) -> SftConfig {
        SftConfig { split: Some(split.to_owned()), ..SftConfig::default() }
    }

    #[test]
    fn names_tell_splits() {
        let default = SftConfig::default();
        let sharded = [
            "data/train-00001-of-00002.parquet",
            "data/train-00000-of-00002.parquet",
            "train.jsonl",
            "data/test_sft-00000-of-00001.parquet",
        ];
        let train = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"];
        assert_eq!(found(&sharded, "", &default).unwrap(), train);
        assert_eq!(found(&sharded, "", &split("test_sft")).unwrap(), [sharded[3]]);
        let words = ["train/b.jsonl", "my-Train_2.jsonl", "dev.jsonl", "a/testing/c.jsonl", "retrain.jsonl"];
        assert_eq!(found(&words, "", &default).unwrap(), ["my-Train_2.jsonl", "train/b.jsonl"]);
        assert_eq!(found(&words, "", &split("validation")).unwrap(), ["dev.jsonl"]);
        assert_eq!(found(&words, "", &split("test")).unwrap(), ["a/testing/c.jsonl"]);
        let plain =
            ["b.jsonl", "a.json", "sub/c.parquet", "notes.txt", ".cache/d.jsonl", "_tmp/e.jsonl", "config.json"];
        assert_eq!(found(&plain, "", &default).unwrap(), ["a.json", "b.jsonl", "sub/c.parquet"]);
        let error = found(&plain, "", &split("test")).unwrap_err();
        assert!(error.contains("sft.split is test") && error.contains("the data has train"), "{error}");
        assert!(found(&["notes.txt"], "", &default).unwrap_err().contains("no file ends with .jsonl"));
    }

    #[test]
    fn the_header_of_the_card_tells_configurations_and_splits() {
        let files = ["en/a.jsonl", "en/b.jsonl", "de/train.jsonl", "x.parquet"];
        let header = "license: mit\nconfigs:\n- config_name: en\n  default: true\n  data_files:\n  - split: train\n    path: en/*.jsonl\n  - split: test\n    path: [x.parquet]\n- config_name: de\n  data_files: de/*";
        let named = |name: &str| SftConfig { config_name: Some(name.to_owned()), ..SftConfig::default() };
        assert_eq!(found(&files, header, &SftConfig::default()).unwrap(), ["en/a.jsonl", "en/b.jsonl"]);
        assert_eq!(found(&files, header, &split("test")).unwrap(), ["x.parquet"]);
        assert_eq!(found(&files, header, &named("de")).unwrap(), ["de/train.jsonl"]);
        let error = found(&files, header, &named("fr")).unwrap_err();
        assert!(error.contains("sft.config_name is fr") && error.contains("en, de"), "{error}");
        assert_eq!(found(&files, "license: mit", &SftConfig::default()).unwrap(), ["de/train.jsonl"]);
        for (header, message) in [
            ("configs: [", "README.md: "),
            ("configs:\n- data_files: nowhere/*", "there is no such file"),
            ("configs:\n- data_files: 7", "is no pattern"),
            ("configs: &a [1]\nb: *a", "has aliases"),
            (&"- ".repeat(5000), "nested more than 64 levels"),
        ] {
            let error = found(&files, header, &SftConfig::default()).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        assert!(found(&files, "", &named("en")).unwrap_err().contains("names none"));
        let header = "configs:\n- config_name: en\n  data_dir: en\n- config_name: de\n  data_dir: ./de";
        assert_eq!(found(&files, header, &named("en")).unwrap(), ["en/a.jsonl", "en/b.jsonl"]);
        // What is not asked for need not be there.
        let header =
            "configs:\n- data_files:\n  - split: train\n    path: en/*\n  - split: test\n    path: missing.csv";
        assert_eq!(found(&files, header, &SftConfig::default()).unwrap(), ["en/a.jsonl", "en/b.jsonl"]);
    }
}
