//! The results of a batch, appended a whole line at a time: an interrupt or a full disk leaves finished lines only, and
//! a torn last line of a killed process is cut off when the batch goes on.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::requests::Line;
use crate::{exit::usage, report::Report};

/// The output file and how far it is.
pub(super) struct Results {
    path: PathBuf,
    file: File,
    finished: usize,
    /// Bytes of the finished lines.
    length: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a Value,
    #[serde(flatten)]
    report: Report,
    /// Digest of the request, the model's folder and the dtype.
    request: &'a str,
}

/// What resuming looks at.
#[derive(Deserialize)]
struct Finished {
    id: Value,
    request: String,
}

impl Results {
    /// Opens the file at `path` after its last finished line, which must answer these requests.
    pub(super) fn open(path: &Path, lines: &[Line], digests: &[String]) -> anyhow::Result<Self> {
        let named = || format!("cannot write {}", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(named)?;
        if !file.metadata().with_context(named)?.is_file() {
            return Err(usage(format!("{} is not a regular file\nhint: --output results.jsonl", path.display())));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(named)?;
        let mut results = Self { path: path.to_owned(), file, finished: 0, length: 0 };
        for line in bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let foreign = || {
                let number = results.finished + 1;
                let why = format!("{}:{number} is not the answer to request {number}", path.display());
                usage(format!("{why}\nhint: rm {0}, or choose another --output", path.display()))
            };
            let found: Finished = serde_json::from_slice(line).map_err(|_| foreign())?;
            let expected = lines.get(results.finished).zip(digests.get(results.finished));
            match expected {
                Some((request, digest)) if request.id == found.id && *digest == found.request => {}
                _ => return Err(foreign()),
            }
            results.finished += 1;
            results.length += line.len() as u64;
        }
        results.cut().with_context(named)?;
        Ok(results)
    }

    /// Number of finished lines.
    pub(super) fn finished(&self) -> usize {
        self.finished
    }

    /// Appends a line; on failure the file is left with the lines before it.
    pub(super) fn add(&mut self, id: &Value, request: &str, report: Report) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&Entry { id, report, request })?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // Should cutting fail too, the next run does it.
            let _ = self.cut();
            let hint = "\nhint: the finished lines are kept; make room and run the same command again";
            return Err(error).with_context(|| format!("cannot write {}{hint}", self.path.display()));
        }
        self.finished += 1;
        self.length += line.len() as u64;
        Ok(())
    }

    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }
}
