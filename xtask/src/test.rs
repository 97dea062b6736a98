//! `cargo xtask test`: every test of the workspace, on whatever machine.

use anyhow::Result;

use crate::failure::Failure;
use crate::process;
use crate::setup;
use crate::workspace;

pub(crate) fn run(args: &[String]) -> Result<()> {
    setup::ensure()?;
    let mut command = workspace::cargo(&["test", "--workspace"]);
    if process::show(command.args(args))? {
        return Ok(());
    }
    Err(Failure::failed("`cargo test --workspace` failed, as shown above", "cargo xtask test -- NAME_OF_THE_TEST")
        .into())
}
