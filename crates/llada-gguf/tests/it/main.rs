//! GGUF files that the tests write themselves: what is in them comes back, and damaged ones are errors.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod container;
mod formats;
mod fuzz;
#[path = "../../../llada-model/tests/it/mutation.rs"]
mod mutation;
mod split;
mod writer;

use std::fs;

use llada_gguf::{Gguf, GgufError};

/// Opens a file of these bytes.
fn open(bytes: &[u8]) -> Result<Gguf, GgufError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    Gguf::open(&path)
}

/// The message of the error that a file of these bytes gives, which names the file.
fn refusal(bytes: &[u8]) -> String {
    let message = open(bytes).unwrap_err().to_string();
    let (path, message) = message.split_once(": ").unwrap();
    assert!(path.ends_with("model.gguf"), "{path}");
    message.to_owned()
}
