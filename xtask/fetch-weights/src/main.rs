//! `cargo xtask fetch-weights`: downloads a checkpoint into the Hugging Face cache, or into a folder.
//!
//! A file is downloaded beside its destination, under the name of its digest with the suffix `.incomplete`. It gets its own
//! name once it is complete and its digest is right. So an interrupt loses nothing and leaves no half-written file.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a binary talks to its user by printing")]

mod backoff;
mod client;
mod crew;
mod destination;
mod digest;
mod download;
mod listing;
mod memory;
mod messages;
mod plan;
mod progress;
mod request;
mod settings;
mod url;
mod verify;

use std::process::{self, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use xtask::fetch::FetchArgs;
use xtask::{failure, style};

use crate::client::Client;
use crate::destination::Destination;
use crate::listing::Listing;
use crate::plan::Plan;
use crate::request::Request;
use crate::settings::Settings;

/// The arguments of `cargo xtask fetch-weights`.
#[derive(Parser)]
#[command(name = "cargo xtask fetch-weights", bin_name = "cargo xtask fetch-weights")]
struct Cli {
    #[command(flatten)]
    args: FetchArgs,
}

fn main() -> ExitCode {
    match run(&Cli::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(args: &FetchArgs) -> Result<()> {
    let request = Request::new(args)?;
    let settings = Settings::from_environment()?;
    ctrlc::set_handler(interrupted).context("cannot listen for Ctrl-C")?;
    if settings.offline {
        return offline(&request, args.verify);
    }
    let client = Client::new(settings, &request);
    let listing = Listing::fetch(&client, &request)?;
    let destination = Destination::new(&request, &listing.commit)?;
    if args.verify {
        return verify::run(&request, &listing, &destination);
    }
    let plan = Plan::new(&listing, &destination)?;
    plan.describe(&request, &listing, &destination);
    if args.dry_run {
        println!("{}", style::doubtful("dry run: nothing was changed"));
        return Ok(());
    }
    plan.require_room(&request, &destination)?;
    crew::download(&client, &listing.commit, &plan, &destination)?;
    destination.finish(&request, &listing)?;
    println!("{} {} is in {}", style::good("done:"), request.model, destination.folder().display());
    if request.dest.is_none() && request.revision == "main" && request.only.is_none() {
        let llada = "cargo run --release --bin llada --";
        println!("{} {llada} inspect {}", style::strong("next:"), request.model);
    }
    Ok(())
}

/// Finds or verifies a model in the cache without using the network.
fn offline(request: &Request, verify: bool) -> Result<()> {
    let (listing, destination) = Listing::cached(request)?;
    if verify {
        return verify::run(request, &listing, &destination);
    }
    let missing = llada_hub::missing(&destination.folder());
    if request.only.is_none() && !missing.is_empty() {
        return Err(messages::incomplete_offline(request, &missing).into());
    }
    println!("offline: {} files are in {}", listing.files.len(), destination.folder().display());
    Ok(())
}

/// Ends the process. All received bytes have already been written to their files.
fn interrupted() {
    eprintln!("\n{} what was downloaded is kept; the same command goes on from there", style::doubtful("interrupted:"));
    process::exit(130);
}
