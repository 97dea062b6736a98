//! The layout of a pack.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::disk;
use crate::failure::Failure;

/// The most that a pack may take: what can be carried through narrow doors.
const LIMIT: u64 = 64 << 20;

/// What a pack has of the workspace besides the program: where it is there, and here.
const PARTS: [(&str, &str); 4] = [
    ("xtask/gpu", ""),
    ("benches/peers", "peers"),
    ("crates/llada-model/tests/fixtures", "fixtures"),
    ("models/llada-tiny", "models/llada-tiny"),
];

/// Lays `program` and the parts of the workspace at `root` out in `folder`, and returns the bytes of it all. Files of an
/// earlier pack are replaced, and its reports stay.
pub(super) fn lay(root: &Path, program: &Path, folder: &Path) -> Result<u64> {
    let mut files = vec![(program.to_owned(), folder.join("llada"))];
    for (from, to) in PARTS {
        let from = root.join(from);
        for file in regular_files(&from)? {
            let below = file.strip_prefix(&from).unwrap_or(&file).to_owned();
            if is_needed(&below) {
                files.push((file, folder.join(to).join(below)));
            }
        }
    }
    let mut size = 0;
    for (from, _) in &files {
        size += fs::metadata(from).with_context(|| format!("cannot read {}", from.display()))?.len();
    }
    if size > LIMIT {
        let message = format!("the pack would take {}, and {} are allowed", disk::size(size), disk::size(LIMIT));
        let (largest, bytes) = largest(&files);
        let hint = format!("the largest file is {} with {}", largest.display(), disk::size(bytes));
        return Err(Failure::failed(message, hint).into());
    }
    for (from, to) in &files {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(size)
}

/// Python's compiled files, the peers that are not PyTorch's, and how llada-tiny was trained stay here.
fn is_needed(below: &Path) -> bool {
    let is = |name: &str| below.components().any(|part| part.as_os_str() == name);
    let extension = below.extension().unwrap_or_default();
    !is("__pycache__") && !is("curves") && !is("recipe") && !is("llamacpp") && extension != "rs" && extension != "sh"
}

fn largest(files: &[(PathBuf, PathBuf)]) -> (PathBuf, u64) {
    let sized = files.iter().map(|(file, _)| (file.clone(), fs::metadata(file).map_or(0, |file| file.len())));
    sized.max_by_key(|&(_, bytes)| bytes).unwrap_or_default()
}

/// Returns the files below a folder, in the order of their paths.
fn regular_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(regular_files(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with a file in each part, and a program.
    fn workspace() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "xtask/gpu/check.py",
            "xtask/gpu/__pycache__/check.pyc",
            "benches/peers/pytorch_peer.py",
            "benches/peers/main.rs",
            "benches/peers/llamacpp/driver.cpp",
            "crates/llada-model/tests/fixtures/tiny-llada/golden.json",
            "models/llada-tiny/config.json",
            "program",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345678").unwrap();
        }
        let program = root.path().join("program");
        (root, program)
    }

    #[test]
    fn a_pack_has_the_program_the_check_and_what_it_reads() {
        let (root, program) = workspace();
        let folder = root.path().join("pack");
        // A second time over the first: a pack is made anew in place.
        for _ in 0..2 {
            assert_eq!(lay(root.path(), &program, &folder).unwrap(), 5 * 8);
            let names: Vec<String> = regular_files(&folder)
                .unwrap()
                .iter()
                .map(|file| file.strip_prefix(&folder).unwrap().display().to_string())
                .collect();
            let expected = [
                "check.py",
                "fixtures/tiny-llada/golden.json",
                "llada",
                "models/llada-tiny/config.json",
                "peers/pytorch_peer.py",
            ];
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_pack_that_is_too_large_is_refused_before_anything_is_written() {
        let (root, program) = workspace();
        fs::File::create(&program).unwrap().set_len(LIMIT).unwrap();
        let folder = root.path().join("pack");
        let error = lay(root.path(), &program, &folder).unwrap_err().to_string();
        assert_eq!(error, "the pack would take 67 MB, and 67 MB are allowed");
        assert!(!folder.exists());
    }

    /// The workspace's own parts leave room for a program of 30 MB.
    #[test]
    fn the_parts_of_this_workspace_fit() {
        let (scratch, program) = workspace();
        let size = lay(&crate::workspace::root(), &program, &scratch.path().join("pack")).unwrap();
        assert!(size < LIMIT - 30_000_000, "{size}");
    }
}
