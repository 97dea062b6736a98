//! The SHA-256 of files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::TrainError;

/// The digests of the files below `folder` whose names `is_wanted` accepts, by their path in it.
pub(super) fn digests(
    folder: &Path,
    is_wanted: impl Fn(&str) -> bool + Copy,
) -> Result<BTreeMap<PathBuf, String>, TrainError> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(TrainError::read(folder))? {
        let path = entry.map_err(TrainError::read(folder))?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            for (file, digest) in self::digests(&path, is_wanted)? {
                digests.insert(Path::new(name).join(file), digest);
            }
        } else if name.to_str().is_some_and(is_wanted) {
            digests.insert(PathBuf::from(name), digest_of(&path)?);
        }
    }
    Ok(digests)
}

/// The digest of a file, which is read piece by piece: a checkpoint may be larger than the memory.
pub(super) fn digest_of(path: &Path) -> Result<String, TrainError> {
    let mut file = File::open(path).map_err(TrainError::read(path))?;
    let (mut hash, mut piece) = (Sha256::new(), Vec::new());
    loop {
        piece.clear();
        if file.by_ref().take(1 << 20).read_to_end(&mut piece).map_err(TrainError::read(path))? == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&piece);
    }
}

/// The SHA-256 of `bytes`, as the hexadecimal text that checksum tools print.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
