//! The program `llada` and the model that chores run it with.

use std::path::PathBuf;

use anyhow::Result;

use crate::failure::Failure;
use crate::process;
use crate::workspace;

/// A trained model that is small enough for the repository. `cargo xtask train-tiny` makes it.
pub(crate) const MODEL: &str = "models/llada-tiny";

/// Builds the program with optimisations, and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    println!("building `llada`: some minutes, the first time");
    if !process::show(&mut workspace::cargo(&["build", "--release", "--bin", "llada"]))? {
        return Err(Failure::failed("`llada` could not be built, as shown above", "cargo xtask doctor").into());
    }
    Ok(workspace::target().join("release/llada"))
}
