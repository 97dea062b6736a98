//! `cargo xtask demo`: from a fresh clone to masks turning into tokens.

use anyhow::Result;

use crate::failure::Failure;
use crate::process;
use crate::setup;
use crate::style;
use crate::workspace;

/// The checkpoint of the tests: real in every detail but its weights, which are random, and small enough to be here.
const MODEL: &str = "crates/llada-model/tests/fixtures/tiny-llada-gqa-bf16";

/// Runs the command line without installing it.
const LLADA: [&str; 5] = ["run", "--release", "--bin", "llada", "--"];

pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    if !workspace::target().join("release/llada").exists() {
        println!("building `llada`: some minutes, this first time");
    }
    println!("the model is the tests' checkpoint; its weights are random, so its text is gibberish");
    let prompt = ["--prompt", "Once upon a time, "];
    let schedule = ["--steps", "32", "--gen-length", "32", "--block-length", "32", "--watch"];
    let mut command = workspace::cargo(&LLADA);
    command.args(["generate", "--model", MODEL]).args(prompt).args(schedule);
    if !process::show(&mut command)? {
        return Err(Failure::failed(
            "`llada generate` failed, as shown above",
            "cargo xtask doctor   then: cargo xtask demo",
        )
        .into());
    }
    let llada = format!("cargo {}", LLADA.join(" "));
    println!("{} {llada} generate --help", style::strong("next:"));
    println!("      cargo xtask fetch-weights llada-8b-instruct --dry-run   (weights that were trained; 16 GB)");
    println!("      {llada} generate --model llada-8b-instruct --chat \"What is diffusion?\"");
    Ok(())
}
