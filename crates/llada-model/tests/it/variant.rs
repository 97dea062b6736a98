//! Writable copies of the fixtures, and edits of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::fixture;

/// A copy of a fixture's config and weights.
pub(crate) fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if file == "config.json" || file.starts_with("model") {
            fs::copy(&path, folder.path().join(file)).unwrap();
        }
    }
    folder
}

pub(crate) fn edit_json(path: PathBuf, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Sets keys of a folder's `config.json`.
pub(crate) fn set(folder: &Path, keys: Value) {
    edit_json(folder.join("config.json"), |config| {
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    });
}

/// The bytes of a safetensors file with this header before `data`.
pub(crate) fn safetensors_with_header(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}
