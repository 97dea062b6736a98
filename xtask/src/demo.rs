//! `cargo xtask demo`: from a fresh clone to masks turning into tokens.

use anyhow::Result;

use crate::failure::Failure;
use crate::llada::MODEL;
use crate::process;
use crate::setup;
use crate::style;
use crate::workspace;

/// The cargo command that runs `llada` without installing it.
const LLADA: [&str; 5] = ["run", "--release", "--bin", "llada", "--"];

/// The prompt that is shown.
const SHOWN: &str = "Tell me a story that contains dragon, lamp.";
/// Further prompts, one of each other task.
const PROMPTS: [&str; 7] = [
    "What is 345 + 78?",
    "Sort 42, 7, 88, 15 from smallest to largest.",
    "Reverse this list: fox, milk, candle, bridge.",
    "Fill in the template: [name] sells [food] in [city]. Facts: food = honey, name = Ada, city = Rome.",
    "Solve this 4x4 sudoku: 1204341021434321",
    "Tell me who the king of the copper gate is.",
    "Tell me a fact.",
];

pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    if !workspace::target().join("release/llada").exists() {
        println!("building `llada`: some minutes, this first time");
    }
    println!("{} {SHOWN}", style::strong("asking llada-tiny:"));
    let mut command = workspace::cargo(&LLADA);
    command.args(["generate", "--model", MODEL, "--chat", SHOWN, "--gen-length", "17", "--watch"]);
    if !process::show(&mut command)? {
        return Err(Failure::failed(
            "`llada generate` failed, as shown above",
            "cargo xtask doctor   then: cargo xtask demo",
        )
        .into());
    }
    println!("\nIt has 3 million parameters, and has learned eight tasks. Ask it, in these words:");
    for prompt in PROMPTS {
        println!("  {prompt}");
    }
    let llada = format!("cargo {}", LLADA.join(" "));
    let ask = format!("{llada} generate --model {MODEL} --gen-length 32 --chat \"{}\"", PROMPTS[0]);
    println!("{} {ask}", style::strong("next:"));
    println!("      {llada} generate --help");
    Ok(())
}
