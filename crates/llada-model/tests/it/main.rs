//! The checkpoint reader and the model against the reference's golden outputs and against hostile files.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod amx;
mod checkpoint;
mod config;
mod convert;
mod families;
mod folder;
mod folders;
mod forward;
mod fuzz;
mod fuzz_text;
mod lora;
mod loss;
mod mutation;
mod partial;
mod plan;
mod text;
mod trainable;
mod turns;
mod variant;
#[path = "../../../llada-gguf/tests/it/writer.rs"]
mod writer;

use std::path::PathBuf;

use llada_model::ModelError;

/// The fixtures' folders; see `fixtures/README.md`.
const FIXTURES: [&str; 2] = ["tiny-llada", "tiny-llada-gqa-bf16"];

/// Returns the message of an error with its hint on a line of its own.
fn told(error: &ModelError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn json(name: &str, file: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(fixture(name).join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}
