//! Numbers that a run computes once, ahead of its first step: a file of JSON lines that an interrupted run goes on with.
//!
//! The first line says what the others are of. A ledger of something else is refused, so that no run goes on with numbers of
//! other data or settings.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::TrainError;

/// A file of entries that is open for more.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    path: PathBuf,
    file: File,
    entries: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> Ledger<T> {
    /// Opens or begins the ledger `path` of what `subject` describes. A last line that was cut off is dropped.
    ///
    /// # Errors
    /// The file is of another subject, or cannot be read or written.
    pub(crate) fn open(path: &Path, subject: &Value) -> Result<Self, TrainError> {
        let mut whole = String::new();
        let mut entries = Vec::new();
        if path.exists() {
            let text = fs::read_to_string(path).map_err(TrainError::read(path))?;
            for (index, line) in text.split_inclusive('\n').enumerate() {
                if !line.ends_with('\n') {
                    break;
                }
                if index == 0 {
                    let found: Value = serde_json::from_str(line).map_err(|e| TrainError::file(path, e))?;
                    if found != *subject {
                        return Err(TrainError::OtherNumbers { path: path.to_owned() });
                    }
                } else {
                    entries.push(serde_json::from_str(line).map_err(|e| TrainError::file(path, e))?);
                }
                whole += line;
            }
        }
        if whole.is_empty() {
            whole = format!("{subject}\n");
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let mut ledger = Self { path: path.to_owned(), file: file.map_err(TrainError::write(path))?, entries };
        ledger.file.write_all(whole.as_bytes()).map_err(TrainError::write(path))?;
        ledger.file.set_len(whole.len() as u64).map_err(TrainError::write(path))?;
        Ok(ledger)
    }

    /// The entries so far.
    pub(crate) fn entries(&self) -> &[T] {
        &self.entries
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn push(&mut self, entry: T) -> Result<(), TrainError> {
        let line = serde_json::to_string(&entry).map_err(|e| TrainError::file(&self.path, e))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(TrainError::write(&self.path))?;
        self.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_and_a_cut_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, subject) = (folder.path().join("new/numbers.jsonl"), serde_json::json!({"n": 8}));
        let mut ledger = Ledger::<f64>::open(&path, &subject).unwrap();
        for value in [0.1, -1e-300, 5.0] {
            ledger.push(value).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        for kept in 0..whole.len() {
            fs::write(&path, &whole[..kept]).unwrap();
            let mut again = Ledger::<f64>::open(&path, &subject).unwrap();
            let count = again.entries().len();
            assert_eq!(again.entries(), &[0.1, -1e-300, 5.0][..count]);
            for &value in &[0.1, -1e-300, 5.0][count..] {
                again.push(value).unwrap();
            }
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {kept}");
        }
        let error = Ledger::<f64>::open(&path, &serde_json::json!({"n": 9})).unwrap_err();
        assert!(error.to_string().ends_with("numbers.jsonl: it is of other data or settings"), "{error}");
    }
}
