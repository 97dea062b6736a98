//! The download of one file: it is resumed after interruptions, retried after temporary failures, and checked by its digest.

use std::fs::{File as Handle, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use ureq::http::StatusCode;

use crate::backoff::{self, Backoff};
use crate::client::{Answer, Client, Refusal, text};
use crate::destination::Destination;
use crate::digest::{CHUNK, Hasher};
use crate::listing::File;
use crate::messages;
use crate::progress::{Bar, Progress};
use crate::url;

/// The state that all files of a download share.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client,
    pub(crate) commit: &'a str,
    pub(crate) destination: &'a Destination,
    pub(crate) progress: Progress,
    /// Set after a permanent failure of another file.
    pub(crate) stop: AtomicBool,
}

impl Download<'_> {
    /// Downloads a file to its destination. Returns early, without an error, if another file has failed.
    pub(crate) fn bring(&self, file: &File) -> Result<()> {
        let request = &self.client.request;
        let _held = self.destination.lock(request, file)?;
        // The process that held the lock before may have downloaded this file.
        if !self
            .destination
            .has(file)
            .with_context(|| format!("cannot read {}", self.destination.path(file).display()))?
        {
            let path = self.destination.partial(file);
            let opened = Partial::open(path.clone(), file);
            let mut partial = opened.map_err(|error| messages::unwritten(request, &path, error))?;
            if !self.fill(&mut partial, file)? {
                return Ok(());
            }
            // The content is written to disk before the file gets its name, so that a power cut cannot leave an empty file.
            partial.handle.sync_all().map_err(|error| messages::unwritten(request, &path, error))?;
            self.destination.publish(request, file)?;
        }
        self.progress.finished(file);
        Ok(())
    }

    /// Downloads until the content is complete and its digest right. Returns false if another file has failed before.
    fn fill(&self, partial: &mut Partial, file: &File) -> Result<bool> {
        let request = &self.client.request;
        let path = url::encoded(&file.path, "/");
        let address = format!("{}/{}/resolve/{}/{path}", self.client.endpoint, request.model, self.commit);
        let bar = self.progress.start(file, partial.have);
        let (mut backoff, mut best, mut was_wrong) = (Backoff::new(), partial.have, false);
        while !self.stop.load(Ordering::Relaxed) {
            let refusal = match self.attempt(partial, file, &address, &bar) {
                Ok(true) => return Ok(true),
                Ok(false) => continue,
                Err(refusal) => refusal,
            };
            if let Refusal::Wrong { .. } = refusal {
                partial.restart(&bar).map_err(|error| messages::unwritten(request, &partial.path, error))?;
                best = 0;
            } else if partial.have > best {
                best = partial.have;
                backoff.reset();
            }
            let (why, wish) = match refusal {
                Refusal::Final(error) => return Err(error),
                Refusal::Other { why } | Refusal::Wrong { why } if was_wrong => {
                    return Err(messages::wrong_content(request, &file.path, &why));
                }
                Refusal::Other { .. } | Refusal::Wrong { .. } => {
                    was_wrong = true;
                    continue;
                }
                Refusal::Again { why, wish } => (why, wish),
                Refusal::Unreachable { why } => (why, None),
            };
            let Some(pause) = backoff.next(wish) else {
                return Err(messages::given_up(request, &file.path, &why));
            };
            backoff::wait(pause, &self.stop);
        }
        Ok(false)
    }

    /// Downloads over one connection. Returns true once the content is complete and right, false if another file has failed.
    fn attempt(&self, partial: &mut Partial, file: &File, address: &str, bar: &Bar<'_>) -> Result<bool, Refusal> {
        let unwritten = |path: &PathBuf, error| Refusal::Final(messages::unwritten(&self.client.request, path, error));
        if partial.have < file.size {
            let answer = self.client.get(address, partial.have)?;
            if begins_at(&answer, file)? != partial.have {
                partial.restart(bar).map_err(|error| unwritten(&partial.path, error))?;
                if answer.status() != StatusCode::OK {
                    return Err(Refusal::again("the server sends another part than was asked for"));
                }
            }
            let mut body = answer.into_body().into_reader();
            let mut chunk = vec![0; CHUNK];
            loop {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                let read = body.read(&mut chunk).map_err(|error| Refusal::again(error.to_string()))?;
                if read == 0 {
                    break;
                }
                let bytes = &chunk[..read];
                if partial.have + bytes.len() as u64 > file.size {
                    return Err(Refusal::Wrong { why: format!("more came than its {} bytes", file.size) });
                }
                partial.append(bytes).map_err(|error| unwritten(&partial.path, error))?;
                bar.received(bytes.len() as u64);
            }
        }
        if partial.have < file.size {
            return Err(Refusal::again(format!("the connection ended {} bytes early", file.size - partial.have)));
        }
        let digest = partial.hasher.clone().finish();
        if digest == file.digest.name() {
            return Ok(true);
        }
        Err(Refusal::Wrong { why: format!("its digest is {digest}, where {} was announced", file.digest) })
    }
}

/// Returns the offset of the first byte of an answer.
///
/// # Errors
/// If the server's file does not have the announced size.
fn begins_at(answer: &Answer, file: &File) -> Result<u64, Refusal> {
    let headers = answer.headers();
    let (start, size) = match answer.status() {
        StatusCode::OK => (0, text(headers, "Content-Length").and_then(|length| length.parse::<u64>().ok())),
        StatusCode::PARTIAL_CONTENT => {
            // bytes 100-199/200
            let range = text(headers, "Content-Range").and_then(|range| {
                let (part, size) = range.strip_prefix("bytes ")?.split_once('/')?;
                Some((part.split_once('-')?.0.parse::<u64>().ok()?, size.parse().ok()))
            });
            range.ok_or_else(|| Refusal::again("the server does not say which part it sends"))?
        }
        // The range starts after the end: the server has another file, or the local data are of another one.
        _ => (u64::MAX, None),
    };
    match size {
        Some(size) if size != file.size => Err(Refusal::Other {
            why: format!("the server has {size} bytes of it, where {} were announced", file.size),
        }),
        _ => Ok(start),
    }
}

/// The received part of a file, with its digest so far.
struct Partial {
    handle: Handle,
    path: PathBuf,
    have: u64,
    hasher: Hasher,
    empty: Hasher,
}

impl Partial {
    fn open(path: PathBuf, file: &File) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut handle = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut have = handle.metadata()?.len();
        if have > file.size {
            handle.set_len(0)?;
            have = 0;
        }
        let empty = file.digest.hasher(file.size);
        let mut hasher = empty.clone();
        hasher.read(&mut handle, have)?;
        Ok(Self { handle, path, have, hasher, empty })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.handle.write_all(bytes)?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self, bar: &Bar<'_>) -> io::Result<()> {
        self.handle.set_len(0)?;
        self.handle.seek(SeekFrom::Start(0))?;
        self.hasher = self.empty.clone();
        self.have = 0;
        bar.restart();
        Ok(())
    }
}
