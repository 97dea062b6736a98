//! A server under load, by clients of all kinds: those that ask and read, and those that read slowly, hang up, send what is no
//! request, or nothing at all.
//!
//! ```text
//! cargo bench --bench load
//! cargo bench --bench load -- --throughput
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

mod clients;
mod questions;
mod server;
mod tally;
mod throughput;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Parser;

use crate::{clients::Kind, questions::Questions, server::Server, tally::Tally};

/// How often the memory of the server is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// A server under load
#[derive(Parser)]
struct Args {
    /// Model to serve
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/llada-tiny"))]
    model: PathBuf,

    /// Clients at the same time
    #[arg(long, value_name = "N", default_value_t = 200)]
    clients: usize,

    /// Seconds under load
    #[arg(long, value_name = "N", default_value_t = 300)]
    seconds: u64,

    /// Compare the server with the library on 500 requests instead, on one thread each
    #[arg(long)]
    throughput: bool,

    /// Twenty clients for six seconds
    #[arg(long)]
    test: bool,

    /// Serve, as the process under load does
    #[arg(long, hide = true)]
    serve: bool,

    /// Threads of the server
    #[arg(long, hide = true)]
    threads: Option<usize>,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let mut args = Args::parse();
    if args.serve {
        return server::serve(&args.model, args.threads);
    }
    if args.test {
        (args.clients, args.seconds) = (20, 6);
    }
    if args.throughput {
        return throughput::compare(&args.model, if args.test { 10 } else { 500 });
    }
    let questions = Questions::new(&args.model)?;
    let mut server = Server::start(&args.model, None)?;
    let (tally, is_over) = (Tally::default(), AtomicBool::new(false));
    let mut memory = Vec::new();
    thread::scope(|scope| {
        for client in 0..args.clients {
            let (tally, is_over, questions, address) = (&tally, &is_over, &questions, server.address());
            scope.spawn(move || {
                let kind = Kind::of(client, args.clients);
                let mut round = 0;
                while !is_over.load(Ordering::Relaxed) {
                    tally.record(kind, kind.visit(address, questions, client * 1000 + round));
                    round += 1;
                }
            });
        }
        let start = Instant::now();
        while start.elapsed().as_secs() < args.seconds {
            thread::sleep(INTERVAL.min(Duration::from_secs(args.seconds)));
            memory.push((start.elapsed(), server.resident_bytes()));
            eprintln!("{:4} s  {}", start.elapsed().as_secs(), tally.line());
        }
        is_over.store(true, Ordering::Relaxed);
        // The last answers are those that the server completes because it is told to end.
        server.terminate();
    });
    let is_orderly = server.await_end()?;
    tally.report(&memory);
    ensure!(is_orderly, "the server did not end in order");
    tally.check()
}
