//! `cargo xtask test`: runs all tests and examples of the workspace, and those of the server's page.

use std::env;

use anyhow::Result;

use crate::examples;
use crate::failure::Failure;
use crate::page;
use crate::process;
use crate::setup;
use crate::workspace;

pub(crate) fn run(args: &[String]) -> Result<()> {
    setup::ensure()?;
    // By default cargo leaves out xtask. Arguments may name a package, so they replace the selection.
    let everything = if args.is_empty() { &["test", "--workspace"][..] } else { &["test"] };
    let mut command = workspace::cargo(everything);
    // Tests run side by side. If each had a thread of OpenMP for every core, they would spend most of their time waiting for
    // threads that are not running.
    if env::var_os("OMP_NUM_THREADS").is_none() {
        command.env("OMP_NUM_THREADS", "1");
    }
    if !process::show(command.args(args))? {
        let again = "cargo xtask test -- NAME_OF_THE_TEST";
        return Err(Failure::failed("`cargo test` failed, as shown above", again).into());
    }
    if !args.is_empty() {
        return Ok(());
    }
    examples::run()?;
    page::run()
}
