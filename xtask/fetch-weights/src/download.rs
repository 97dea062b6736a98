//! One file: what there is of it is kept, the rest is asked for as often as it takes, and its digest decides.

use std::fs::{File as Handle, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use ureq::http::StatusCode;

use crate::client::{Answer, Client, Refusal, text};
use crate::digest::{CHUNK, Hasher};
use crate::explain;
use crate::listing::File;
use crate::patience::{self, Patience};
use crate::place::Place;
use crate::progress::{Bar, Progress};
use crate::url;

/// What all files of a download have in common.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client,
    pub(crate) commit: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) progress: Progress,
    /// Set when another file has failed for good: what was received is kept.
    pub(crate) stop: AtomicBool,
}

impl Download<'_> {
    /// Brings a file to its place. Returns without it only when all work is to end.
    pub(crate) fn bring(&self, file: &File) -> Result<()> {
        let request = &self.client.request;
        let _held = self.place.lock(request, file)?;
        // Whoever held the lock before may have been at the same file.
        if !self.place.has(file).with_context(|| format!("cannot read {}", self.place.path(file).display()))? {
            let path = self.place.partial(file);
            let opened = Partial::open(path.clone(), file);
            let mut partial = opened.map_err(|error| explain::unwritten(request, &path, error))?;
            if !self.fill(&mut partial, file)? {
                return Ok(());
            }
            // On the disk before it has its name: a power cut must not leave a name with nothing behind it.
            partial.handle.sync_all().map_err(|error| explain::unwritten(request, &path, error))?;
            self.place.publish(request, file)?;
        }
        self.progress.finished(file);
        Ok(())
    }

    /// Until the content is whole and right. False when all work is to end before.
    fn fill(&self, partial: &mut Partial, file: &File) -> Result<bool> {
        let request = &self.client.request;
        let path = url::encoded(&file.path, "/");
        let address = format!("{}/{}/resolve/{}/{path}", self.client.endpoint, request.model, self.commit);
        let bar = self.progress.start(file, partial.have);
        let (mut patience, mut best, mut was_wrong) = (Patience::new(), partial.have, false);
        while !self.stop.load(Ordering::Relaxed) {
            let refusal = match self.attempt(partial, file, &address, &bar) {
                Ok(true) => return Ok(true),
                Ok(false) => continue,
                Err(refusal) => refusal,
            };
            if let Refusal::Wrong { .. } = refusal {
                partial.restart(&bar).map_err(|error| explain::unwritten(request, &partial.path, error))?;
                best = 0;
            } else if partial.have > best {
                best = partial.have;
                patience.renew();
            }
            let (why, wish) = match refusal {
                Refusal::Final(error) => return Err(error),
                Refusal::Other { why } | Refusal::Wrong { why } if was_wrong => {
                    return Err(explain::wrong_content(request, &file.path, &why));
                }
                Refusal::Other { .. } | Refusal::Wrong { .. } => {
                    was_wrong = true;
                    continue;
                }
                Refusal::Again { why, wish } => (why, wish),
                Refusal::Unreachable { why } => (why, None),
            };
            let Some(pause) = patience.next(wish) else {
                return Err(explain::given_up(request, &file.path, &why));
            };
            patience::wait(pause, &self.stop);
        }
        Ok(false)
    }

    /// One connection. True when the content is whole and right, false when all work is to end.
    fn attempt(&self, partial: &mut Partial, file: &File, address: &str, bar: &Bar<'_>) -> Result<bool, Refusal> {
        let unwritten = |path: &PathBuf, error| Refusal::Final(explain::unwritten(&self.client.request, path, error));
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

/// The byte that an answer begins at, once its size is that of the file.
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
        // There is nothing after what is there: the server's file is another one, or what is there is.
        _ => (u64::MAX, None),
    };
    match size {
        Some(size) if size != file.size => Err(Refusal::Other {
            why: format!("the server has {size} bytes of it, where {} were announced", file.size),
        }),
        _ => Ok(start),
    }
}

/// The beginning of a file, and its digest so far.
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
