//! What a constraint costs: the time to compile a pattern for a vocabulary of 100,256 tokens, and what it adds to a step with
//! 32 masks, beside a full forward over 512 + 512 tokens of a model of 120 million parameters with a head of that size.
//!
//! ```text
//! cargo bench --bench constraint
//! ```
#![allow(clippy::print_stdout, reason = "a program prints")]

mod patterns;
mod step;
#[path = "../../crates/llada-grammar/tests/it/synthetic.rs"]
mod synthetic;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use llada::TokenDfa;

use crate::step::Bench;

const TOKENS: usize = 100_256;

/// What a constraint costs, by pattern
#[derive(Parser)]
struct Args {
    /// Steps that the median is taken of
    #[arg(long, value_name = "N", default_value_t = 9)]
    repeats: usize,

    /// Two steps, and a small model
    #[arg(long)]
    test: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let repeats = if args.test { 2 } else { args.repeats };
    let start = Instant::now();
    let vocabulary = synthetic::vocabulary(TOKENS)?;
    println!("{} tokens, read in {}", vocabulary.tokens(), shown(start.elapsed()));
    let forward = step::full_forward(vocabulary.tokens(), args.test, repeats)?;
    println!("a full forward over 512 + 512 tokens: {}\n", shown(forward));
    let mut bench = Bench::new(vocabulary.tokens(), repeats);
    for temperature in [0.0, 1.0] {
        println!("temperature {temperature}: {} a step without a constraint\n", shown(bench.step(None, temperature)?));
        println!(
            "| pattern | states | transitions | classes | edges | shortest | compiled in | adds to a step | of a forward |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        for (name, pattern) in patterns::all()? {
            let start = Instant::now();
            let dfa = Arc::new(pattern.compile(&vocabulary, &Default::default())?);
            let compiled = start.elapsed();
            let added = bench.added(&dfa, temperature)?;
            println!("{}", row(name, &dfa, compiled, added, forward));
        }
        println!();
    }
    Ok(())
}

fn row(name: &str, dfa: &TokenDfa, compiled: Duration, added: f64, forward: Duration) -> String {
    let edges = (0..dfa.states() as u32).flat_map(|state| dfa.edges(state));
    let transitions: usize = edges.clone().map(|edge| dfa.members(edge.class).len()).sum();
    let edges = edges.count();
    let (states, classes, shortest) = (dfa.states(), dfa.classes(), dfa.distance(dfa.start()).unwrap_or(0));
    let (compiled, share) = (shown(compiled), 100.0 * added / forward.as_secs_f64());
    let added = format!("{:.1} ms", 1e3 * added);
    format!(
        "| {name} | {states} | {transitions} | {classes} | {edges} | {shortest} | {compiled} | {added} | {share:.1} % |"
    )
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", 1e3 * time.as_secs_f64())
}
