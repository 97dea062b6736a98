//! `cargo xtask fetch-weights`: downloads a checkpoint into the Hugging Face cache, or into a folder.
//!
//! A file is downloaded beside its place, under the name of its digest and `.incomplete`. It takes its own name when all
//! of it has been read and its digest is right, so an end at any moment loses nothing and leaves nothing half-written.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a binary talks to its user by printing")]

mod client;
mod crew;
mod digest;
mod download;
mod explain;
mod listing;
mod patience;
mod place;
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
use crate::listing::Listing;
use crate::place::Place;
use crate::plan::Plan;
use crate::request::Request;
use crate::settings::Settings;

/// What `cargo xtask fetch-weights` was given.
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
    let place = Place::new(&request, &listing.commit)?;
    if args.verify {
        return verify::run(&request, &listing, &place);
    }
    let plan = Plan::new(&listing, &place)?;
    plan.describe(&request, &listing, &place);
    if args.dry_run {
        println!("{}", style::doubtful("dry run: nothing was changed"));
        return Ok(());
    }
    plan.require_room(&request, &place)?;
    crew::download(&client, &listing.commit, &plan, &place)?;
    place.finish(&request, &listing)?;
    println!("{} {} is in {}", style::good("done:"), request.model, place.folder().display());
    if request.dest.is_none() && request.revision == "main" && request.only.is_none() {
        let llada = "cargo run --release --bin llada --";
        println!("{} {llada} inspect {}", style::strong("next:"), request.model);
    }
    Ok(())
}

/// Nobody is asked: what the cache has is all there is.
fn offline(request: &Request, verify: bool) -> Result<()> {
    let (listing, place) = Listing::cached(request)?;
    if verify {
        return verify::run(request, &listing, &place);
    }
    let missing = llada_hub::missing(&place.folder());
    if request.only.is_none() && !missing.is_empty() {
        return Err(explain::incomplete_offline(request, &missing).into());
    }
    println!("offline: {} files are in {}", listing.files.len(), place.folder().display());
    Ok(())
}

/// Every byte that was received is in its file already.
fn interrupted() {
    eprintln!("\n{} what was downloaded is kept; the same command goes on from there", style::doubtful("interrupted:"));
    process::exit(130);
}
