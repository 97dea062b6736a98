//! The `llada` command. It parses arguments, calls the libraries and prints their results.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod args;
mod cli;
mod commands;
mod exit;
mod file;
mod hint;
mod interrupt;
#[cfg(test)]
#[path = "../../llada-model/tests/it/mutation.rs"]
mod mutation;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod openmp;
mod patterns;
mod picture;
mod progress;
mod report;
mod results;
mod session;
mod shards;
mod watch;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    match interrupt::listen().and_then(|()| command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
