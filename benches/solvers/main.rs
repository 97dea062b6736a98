//! What the solvers of the reverse process lose to the number of forwards: the total variation distance and the divergence
//! of what they sample from joint distributions of four tokens that are known. Laws are propagated and not sampled, so the
//! figures have no noise.
//!
//! ```text
//! cargo bench --bench solvers
//! cargo bench --bench solvers -- --out docs/solvers
//! ```
#![allow(clippy::print_stdout, reason = "a program prints")]

#[path = "../../crates/llada-infer/tests/it/law.rs"]
mod law;
mod report;

use std::path::PathBuf;

use clap::Parser;
use llada_benches::place;

use crate::report::Report;

/// The errors of the solvers of the reverse process, by forwards
#[derive(Parser)]
struct Args {
    /// Where the table and the pictures go, from the root of the workspace
    #[arg(long, value_name = "FOLDER", default_value = "target/solvers")]
    out: PathBuf,

    /// Few forwards; nothing is written
    #[arg(long)]
    test: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let report = Report::measure(if args.test { 4 } else { 128 })?;
    println!("{}", report.table());
    if !args.test {
        let out = place::from_root(&args.out);
        place::write(&out, "solvers.csv", &report.csv())?;
        place::write(&out, "distance.svg", &report.distances().svg())?;
        place::write(&out, "divergence.svg", &report.divergences().svg())?;
        println!("{}", out.join("distance.svg").display());
    }
    Ok(())
}
