//! Training against the reference's golden numbers, and against itself: resumed, accumulated, overfitted, damaged.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod aligned;
mod alignment;
mod collective;
mod corpus;
mod data;
mod fuzz;
mod golden;
mod gradients;
mod init_adapter;
mod interrupted_ranks;
mod lora;
mod mixture;
#[path = "../../../llada-model/tests/it/mutation.rs"]
mod mutation;
mod run;
mod sampling;
mod sft;
mod sharded;
mod stream;
mod validation;

use std::path::PathBuf;

use llada_train::TrainError;

/// A folder of the model crate's fixtures; see its `fixtures/README.md`.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../llada-model/tests/fixtures").join(name)
}

/// The error with what would help.
fn told(error: &TrainError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
}
