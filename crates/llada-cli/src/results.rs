//! A file of results, one line each. After an interrupt or on a full disk it holds complete lines only. An incomplete
//! last line, which a killed process leaves, is removed when the work is continued.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::exit::usage;

/// The results file and its progress.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
    finished: usize,
    /// The length of the finished lines, in bytes.
    length: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry<T> {
    #[serde(flatten)]
    result: T,
    /// The digest of the request, the folder of the model and the dtype.
    request: String,
}

/// Returns a digest of everything that a result depends on. It tells whether a finished line belongs to a request.
pub(crate) fn digest(settings: &str, request: &str) -> String {
    let hash = Sha256::digest(format!("{settings}\n{request}"));
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Results {
    /// Opens the file at `path`, which was given by `flag`, and returns its finished results. They must belong to the
    /// first of the requests with these `digests`.
    pub(crate) fn open<T: DeserializeOwned>(
        path: &Path,
        flag: &str,
        digests: &[String],
    ) -> anyhow::Result<(Self, Vec<T>)> {
        let named = || format!("cannot write {}", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(named)?;
        if !file.metadata().with_context(named)?.is_file() {
            return Err(usage(format!("{} is not a regular file\nhint: {flag} results.jsonl", path.display())));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(named)?;
        let mut results = Self { path: path.to_owned(), file, finished: 0, length: 0 };
        let mut finished = Vec::new();
        for line in bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let found: Option<Entry<T>> = serde_json::from_slice(line).ok();
            let Some(found) = found.filter(|found| digests.get(results.finished) == Some(&found.request)) else {
                let (path, number) = (path.display(), results.finished + 1);
                let why = format!("{path}:{number} is not the answer to request {number}");
                return Err(usage(format!("{why}\nhint: rm {path}, or choose another {flag}")));
            };
            finished.push(found.result);
            results.finished += 1;
            results.length += line.len() as u64;
        }
        results.cut().with_context(named)?;
        Ok((results, finished))
    }

    /// Returns the number of finished lines.
    pub(crate) fn finished(&self) -> usize {
        self.finished
    }

    /// Appends a line. If this fails, the file keeps the lines before it.
    pub(crate) fn add(&mut self, request: &str, result: impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&Entry { result, request: request.to_owned() })?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // If this fails too, the next run removes the incomplete line.
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
