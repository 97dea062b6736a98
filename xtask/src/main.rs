//! Chores of the workspace, run as `cargo xtask <command>`.
//!
//! The program does not link libtorch, because it is the one that finds it. Exit codes: 0 ok, 1 failed, 2 usage,
//! 3 environment (a missing tool, no disk space, no network). An interrupt ends the program by its signal, which shells
//! report as 130. Unfinished work of `setup` then remains under a hidden name and is removed by a later run.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a binary talks to its user by printing")]

mod ci;
mod cli;
mod cluster;
mod compat;
mod demo;
mod deploy;
mod doctor;
mod examples;
mod gpu;
mod installer;
mod llada;
mod page;
mod python;
mod setup;
mod test;
mod tidy;
mod tiny;
mod weights;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use xtask::{disk, failure, memory, process, style};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Doctor { json } => doctor::run(json),
        Command::Demo => demo::run(),
        Command::TrainTiny(args) => tiny::run(&args),
        Command::Test { args } => test::run(&args),
        Command::Ci => ci::run(),
        Command::Cluster => cluster::run(),
        Command::Compat(args) => compat::run(&args),
        Command::FetchWeights(_) => weights::run(),
        Command::DeployCheck(args) => deploy::run(&args),
        Command::GpuCheck(args) => gpu::run(&args),
        Command::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
