//! The user's cache, in which all checkouts share a libtorch, and the link of a checkout to it.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::libtorch::{Libtorch, VERSION};
use crate::failure::Failure;
use crate::workspace;

/// The prefix of the names of unfinished folders. They are hidden, and no command looks for a libtorch in them.
const UNFINISHED: &str = ".unfinished-";

/// The age from which on an unfinished folder counts as abandoned. No download takes so long.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the cache folder of a kind of libtorch: `cpu`, `cuda`, or the name of a Python that it is linked from.
pub(super) fn folder(kind: &str) -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .ok_or_else(|| {
            Failure::environment(
                "neither XDG_CACHE_HOME nor HOME is set, so there is no folder to keep libtorch in",
                "export XDG_CACHE_HOME=/some/folder",
            )
        })?;
    Ok(base.join("llada").join(format!("libtorch-{VERSION}-{kind}")))
}

/// Creates a hidden folder beside `dest`, on the same file system, to build it in. The folder is removed when dropped.
pub(super) fn unfinished(dest: &Path) -> Result<TempDir> {
    let parent = dest.parent().context("the cache folder has a parent")?;
    let make = || {
        fs::create_dir_all(parent)?;
        sweep(parent)?;
        tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent)
    };
    make().context(Failure::environment(
        format!("cannot write to the cache folder {}", parent.display()),
        "export XDG_CACHE_HOME=/a/writable/folder && cargo xtask setup",
    ))
}

/// Removes unfinished folders of interrupted runs.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let abandoned = age.is_some_and(|made| made.elapsed().is_ok_and(|age| age > ABANDONED));
        if unfinished && abandoned {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Renames the finished folder `made` to `dest`. If another run has created a sound `dest` in the meantime, that one is kept.
/// An unsound one is moved to `scratch` and removed with it.
pub(super) fn publish(made: &Path, dest: &Path, scratch: &TempDir) -> Result<()> {
    let mut outcome = Ok(());
    // The second attempt follows the removal of an unsound folder. The third is for the case that another run has just
    // created one as well.
    for attempt in 0..3 {
        outcome = fs::rename(made, dest);
        if outcome.is_ok() || Libtorch::inspect(dest).is_ok() {
            return Ok(());
        }
        let aside = scratch.path().join(format!("replaced-{attempt}"));
        if let Err(error) = fs::rename(dest, aside) {
            outcome = Err(error);
        }
    }
    outcome.context(Failure::environment(
        format!("cannot put libtorch at {}", dest.display()),
        format!("rm -r {} && cargo xtask setup", dest.display()),
    ))
}

/// Makes `.libtorch` a link to `folder`, in one step.
pub(super) fn link(folder: &Path) -> Result<()> {
    let link = workspace::libtorch_link();
    if link.is_dir() && !link.is_symlink() {
        return Err(Failure::failed(
            "`.libtorch` is a folder, not a link that `setup` made, and it is not touched",
            "mv .libtorch libtorch.old && cargo xtask setup",
        )
        .into());
    }
    let fresh = link.with_extension(format!("{}", process::id()));
    symlink(folder, &fresh).and_then(|()| fs::rename(&fresh, &link)).context(Failure::environment(
        format!("cannot write {}", link.display()),
        format!("export LIBTORCH={}", folder.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::libtorch::tests::fake;
    use super::*;

    #[test]
    fn what_is_sound_stays_and_what_is_not_is_replaced() {
        for (sound, expected) in [(true, "first"), (false, "second")] {
            let cache = tempfile::tempdir().unwrap();
            let dest = cache.path().join("libtorch");
            fake(&dest, "2.13.0");
            fs::write(dest.join("mark"), "first").unwrap();
            if !sound {
                fs::remove_file(dest.join("lib/libc10.so")).unwrap();
            }
            let scratch = unfinished(&dest).unwrap();
            let made = scratch.path().join("made");
            fake(&made, "2.13.0");
            fs::write(made.join("mark"), "second").unwrap();
            publish(&made, &dest, &scratch).unwrap();
            assert_eq!(fs::read_to_string(dest.join("mark")).unwrap(), expected);
            assert!(Libtorch::inspect(&dest).is_ok());
        }
    }

    #[test]
    fn nothing_unfinished_is_left_in_sight() {
        let cache = tempfile::tempdir().unwrap();
        let scratch = unfinished(&cache.path().join("libtorch")).unwrap();
        let name = scratch.path().file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with('.'));
        drop(scratch);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
