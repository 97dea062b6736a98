//! Numbers that a run computes once, ahead of its first step: a file of JSON lines that an interrupted run goes on
//! with. The processes of a run share the work; rank 0 alone has the file.
//!
//! The first line says what the others are of. A ledger of something else is refused, so that no run goes on with
//! numbers of other data or settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    TrainError,
    collective::{Collective, agreed, gather},
    loss::{IsStopped, Observe},
};

/// A file of entries, each of an item of the data.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    path: PathBuf,
    /// The open file, in rank 0.
    file: Option<File>,
    entries: BTreeMap<usize, T>,
}

impl<T: Serialize + DeserializeOwned> Ledger<T> {
    /// Opens or begins the ledger `path` of what `subject` describes. A last line that was cut off is dropped.
    ///
    /// # Errors
    /// The file is of another subject, or cannot be read or written; a process cannot be reached.
    pub(crate) fn open(path: &Path, subject: &Value, collective: &mut dyn Collective) -> Result<Self, TrainError> {
        let mut ledger = match collective.rank() {
            0 => Self::of_file(path, subject)?,
            _ => Self { path: path.to_owned(), file: None, entries: BTreeMap::new() },
        };
        ledger.entries = gather(collective, ledger.entries.into_iter().collect())?.into_iter().collect();
        Ok(ledger)
    }

    fn of_file(path: &Path, subject: &Value) -> Result<Self, TrainError> {
        let mut text = String::new();
        if path.exists() {
            text = fs::read_to_string(path).map_err(TrainError::read(path))?;
        }
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        if text.is_empty() {
            text = format!("{subject}\n");
        }
        let refuse = |e: serde_json::Error| TrainError::file(path, e);
        let mut lines = text.lines();
        if serde_json::from_str::<Value>(lines.next().unwrap_or_default()).map_err(refuse)? != *subject {
            return Err(TrainError::OtherNumbers { path: path.to_owned() });
        }
        let entries = lines.map(serde_json::from_str).collect::<Result<_, _>>().map_err(refuse)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(TrainError::write(path))?;
        file.write_all(text.as_bytes()).map_err(TrainError::write(path))?;
        file.set_len(text.len() as u64).map_err(TrainError::write(path))?;
        Ok(Self { path: path.to_owned(), file: Some(file), entries })
    }

    /// Computes the entries of `items` that are missing, each process at most `at_once` of them in one call of
    /// `compute`, which may ask whether this process is stopped. Once the run has begun, its model is no longer the one
    /// that they are of, and none may be missing.
    ///
    /// # Errors
    /// An entry is missing that can no longer be computed; `compute` fails; the file cannot be written; a process cannot be
    /// reached.
    pub(crate) fn complete(
        &mut self,
        items: &BTreeSet<usize>,
        at_once: usize,
        is_begun: bool,
        observe: &mut Observe<'_>,
        collective: &mut dyn Collective,
        mut compute: impl FnMut(&[usize], &mut IsStopped<'_>) -> Result<ControlFlow<(), Vec<T>>, TrainError>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let missing: Vec<usize> = items.iter().copied().filter(|item| !self.entries.contains_key(item)).collect();
        if let Some(item) = missing.first().filter(|_| is_begun) {
            return Err(TrainError::MissingNumbers { path: self.path.clone(), item: *item });
        }
        let (mut done, total) = ((items.len() - missing.len()) as u64, items.len() as u64);
        for items in missing.chunks(at_once * collective.world_size()) {
            if collective.any(observe(done, total).is_break())? {
                return Ok(ControlFlow::Break(()));
            }
            let own = compute(&items[collective.share(items.len())], &mut || observe(done, total).is_break())?;
            let ControlFlow::Continue(own) = agreed(collective, own)? else { return Ok(ControlFlow::Break(())) };
            for (&item, entry) in items.iter().zip(gather(collective, own)?) {
                self.push(item, entry)?;
            }
            done += items.len() as u64;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// All entries, by item.
    pub(crate) fn into_entries(self) -> BTreeMap<usize, T> {
        self.entries
    }

    fn push(&mut self, item: usize, entry: T) -> Result<(), TrainError> {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&(item, &entry)).map_err(|e| TrainError::file(&self.path, e))? + "\n";
            file.write_all(line.as_bytes()).map_err(TrainError::write(&self.path))?;
        }
        self.entries.insert(item, entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::SingleProcess;

    const NUMBERS: [f64; 3] = [0.1, -1e-300, 5.0];

    fn complete(path: &Path, is_begun: bool) -> Result<Vec<usize>, TrainError> {
        let mut ledger = Ledger::<f64>::open(path, &serde_json::json!({"n": 8}), &mut SingleProcess)?;
        let mut computed = Vec::new();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let items = BTreeSet::from([0, 1, 2]);
        let flow = ledger.complete(&items, 2, is_begun, &mut go_on, &mut SingleProcess, |items, is_stopped| {
            assert!(!is_stopped());
            computed.extend(items);
            Ok(ControlFlow::Continue(items.iter().map(|&item| NUMBERS[item]).collect()))
        })?;
        assert!(flow.is_continue());
        assert_eq!(ledger.into_entries().into_values().collect::<Vec<_>>(), NUMBERS);
        Ok(computed)
    }

    #[test]
    fn what_was_written_is_there_and_a_cut_line_is_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/numbers.jsonl");
        assert_eq!(complete(&path, false).unwrap(), [0, 1, 2]);
        let whole = fs::read(&path).unwrap();
        for kept in 0..=whole.len() {
            fs::write(&path, &whole[..kept]).unwrap();
            let lines = whole[..kept].iter().filter(|&&byte| byte == b'\n').count();
            if lines < 4 {
                let error = complete(&path, true).unwrap_err().to_string();
                assert!(error.contains("numbers of item"), "{error}");
            }
            let computed = complete(&path, false).unwrap();
            assert_eq!(computed, (lines.max(1) - 1..3).collect::<Vec<_>>());
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {kept}");
        }
        let error = Ledger::<f64>::open(&path, &serde_json::json!({"n": 9}), &mut SingleProcess).unwrap_err();
        assert!(error.to_string().ends_with("numbers.jsonl: it is of other data or settings"), "{error}");
    }
}
