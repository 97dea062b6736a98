//! The destination of downloads: the Hugging Face cache or a plain folder.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Error, Result};
use llada_hub::{Cache, Repository};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::listing::{File, Listing};
use crate::messages;
use crate::request::Request;

/// A lock, which is released when it is dropped or its process ends.
pub(crate) type Held = Flock<fs::File>;

pub(crate) enum Destination {
    Cache { repository: Repository, commit: String },
    Folder(PathBuf),
}

/// The name of the subfolder of a plain folder that has the incomplete files.
const UNFINISHED: &str = ".incomplete";

impl Destination {
    pub(crate) fn new(request: &Request, commit: &str) -> Result<Self> {
        Ok(match &request.dest {
            Some(folder) => Self::Folder(folder.clone()),
            None => Self::Cache { repository: Cache::locate().repository(&request.model), commit: commit.to_owned() },
        })
    }

    /// Returns the folder that has the files after the download.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::Cache { repository, commit } => repository.files(commit),
            Self::Folder(folder) => folder.clone(),
        }
    }

    /// Returns the path of a file after the download.
    pub(crate) fn path(&self, file: &File) -> PathBuf {
        self.folder().join(&file.path)
    }

    /// Returns true if a file is present. Blobs were checked when they got their names, so their digests are not computed
    /// again; a file in the user's folder may have any content.
    pub(crate) fn has(&self, file: &File) -> io::Result<bool> {
        let is_sized = |path: &Path| fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() == file.size);
        match self {
            Self::Cache { repository, .. } => {
                Ok(is_sized(&repository.blob(file.digest.name())) || is_sized(&self.path(file)))
            }
            Self::Folder(_) => Ok(is_sized(&self.path(file)) && file.digest.fits(&self.path(file), file.size)?),
        }
    }

    /// Returns the path of a file until it is complete.
    pub(crate) fn partial(&self, file: &File) -> PathBuf {
        let digest = file.digest.name();
        match self {
            Self::Cache { repository, .. } => repository.blob(&format!("{digest}.incomplete")),
            Self::Folder(folder) => folder.join(UNFINISHED).join(digest),
        }
    }

    /// Returns the path of a file once it is complete.
    fn whole(&self, file: &File) -> PathBuf {
        match self {
            Self::Cache { repository, .. } => repository.blob(file.digest.name()),
            Self::Folder(_) => self.path(file),
        }
    }

    /// Locks a plain folder against other downloads. In the cache, each file has its own lock.
    pub(crate) fn hold(&self, request: &Request) -> Result<Option<Held>> {
        let Self::Folder(folder) = self else {
            return Ok(None);
        };
        let open = || {
            fs::create_dir_all(folder)?;
            lock(fs::File::open(folder)?, &folder.display())
        };
        open().map(Some).map_err(|error| messages::unwritten(request, &folder.join(UNFINISHED), error))
    }

    /// Locks a file of the cache against other downloads, including those by Python.
    pub(crate) fn lock(&self, request: &Request, file: &File) -> Result<Option<Held>> {
        let Self::Cache { repository, .. } = self else {
            return Ok(None);
        };
        let path = repository.lock(file.digest.name());
        let open = || {
            create_parent(&path)?;
            lock(OpenOptions::new().create(true).append(true).open(&path)?, &file.path)
        };
        open().map(Some).map_err(|error| messages::unwritten(request, &path, error))
    }

    /// Gives a complete file its name.
    pub(crate) fn publish(&self, request: &Request, file: &File) -> Result<()> {
        let whole = self.whole(file);
        create_parent(&whole)
            .and_then(|()| fs::rename(self.partial(file), &whole))
            .map_err(|error| messages::unwritten(request, &whole, error))
    }

    /// Finishes the download of all files: creates the snapshot and then the reference in the cache, or removes the folder
    /// of incomplete files.
    pub(crate) fn finish(&self, request: &Request, listing: &Listing) -> Result<()> {
        match self {
            Self::Cache { repository, commit } => {
                for file in &listing.files {
                    let path = self.path(file);
                    link(&path, file).map_err(|error| messages::unwritten(request, &path, error))?;
                }
                let reference = repository.reference(&request.revision);
                if request.revision == *commit {
                    return Ok(());
                }
                refer(&reference, commit).map_err(|error| messages::unwritten(request, &reference, error))
            }
            Self::Folder(folder) => match fs::remove_dir_all(folder.join(UNFINISHED)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::new(error)),
                _ => Ok(()),
            },
        }
    }
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn lock(file: fs::File, what: &dyn std::fmt::Display) -> io::Result<Held> {
    let (file, errno) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => return Ok(held),
        Err(failed) => failed,
    };
    if errno != Errno::EWOULDBLOCK {
        return Err(errno.into());
    }
    eprintln!("another download of {what} is under way; waiting for it");
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

/// Creates a relative link from the snapshot to the blob. A regular file in place of the link is left as it is; Python
/// creates such files where links are not supported.
fn link(path: &Path, file: &File) -> io::Result<()> {
    let up = "../".repeat(2 + file.path.matches('/').count());
    let target = PathBuf::from(format!("{up}blobs/{}", file.digest.name()));
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => return Ok(()),
        Ok(data) if data.is_symlink() && fs::read_link(path)? == target => return Ok(()),
        _ => create_parent(path)?,
    }
    replace(path, |fresh| symlink(&target, fresh))
}

fn refer(reference: &Path, commit: &str) -> io::Result<()> {
    create_parent(reference)?;
    replace(reference, |fresh| fs::write(fresh, commit))
}

/// Creates something beside `path` under a name with this process's id and renames it, so that `path` changes in one step.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.{}", process::id()));
    // A killed process with the same id may have left one.
    let _ = fs::remove_file(&fresh);
    make(&fresh)?;
    fs::rename(&fresh, path)
}
