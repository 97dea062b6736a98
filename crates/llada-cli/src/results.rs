//! Results, appended a whole line at a time: an interrupt or a full disk leaves finished lines only, and a torn last
//! line of a killed process is cut off when the work goes on.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::exit::usage;

/// The output file and how far it is.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
    finished: usize,
    /// Bytes of the finished lines.
    length: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry<T> {
    #[serde(flatten)]
    result: T,
    /// Digest of the request, the model's folder and the dtype.
    request: String,
}

/// What a result depends on, in short: to tell whether a finished line is this request's.
pub(crate) fn digest(settings: &str, request: &str) -> String {
    let hash = Sha256::digest(format!("{settings}\n{request}"));
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Results {
    /// Opens the file at `path`, which `flag` named, after its last finished line, and gives what is finished. The
    /// lines must answer the requests of these digests.
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
            let foreign = || {
                let number = results.finished + 1;
                let why = format!("{}:{number} is not the answer to request {number}", path.display());
                usage(format!("{why}\nhint: rm {0}, or choose another {flag}", path.display()))
            };
            let found: Entry<T> = serde_json::from_slice(line).map_err(|_| foreign())?;
            if digests.get(results.finished) != Some(&found.request) {
                return Err(foreign());
            }
            finished.push(found.result);
            results.finished += 1;
            results.length += line.len() as u64;
        }
        results.cut().with_context(named)?;
        Ok((results, finished))
    }

    /// Number of finished lines.
    pub(crate) fn finished(&self) -> usize {
        self.finished
    }

    /// Appends a line; on failure the file is left with the lines before it.
    pub(crate) fn add(&mut self, request: &str, result: impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&Entry { result, request: request.to_owned() })?;
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
