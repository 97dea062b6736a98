//! The same work on the same weights, beside PyTorch and llama.cpp: seconds a forward, and their ratios.
//!
//! ```text
//! cargo bench --bench peers
//! cargo bench --bench peers -- --size 1b --rounds 5
//! ```
//!
//! PyTorch runs where a Python with torch and safetensors is found, llama.cpp where `benches/peers/llamacpp_peer.sh` has
//! built its driver; for what is missing it is said what to type. All take turns, round by round, and medians count:
//! other load on the machine then hits them alike.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

mod case;
mod contender;
mod table;

use std::process::ExitCode;

use clap::Parser;
use llada_infer::CacheKind;

use crate::{case::Case, contender::Workshop};

/// Seconds a forward of this workspace, PyTorch and llama.cpp, on the same weights
#[derive(Parser)]
struct Args {
    /// The size of the random-weight model: 10m, 120m or 1b of LLaDA; moe of LLaDA-MoE; llada2 of LLaDA2
    #[arg(long, default_value = "120m")]
    size: String,

    /// How often each takes its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Threads of each
    #[arg(long, default_value_t = 2)]
    threads: usize,

    /// Only say who is there
    #[arg(long)]
    test: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let Some(workshop) = Workshop::open(&args.size, args.threads) else { return Ok(()) };
    if args.test {
        return Ok(());
    }
    workshop.model()?;
    let mut contenders = workshop.contenders()?;
    let mut plain: Vec<(Case, Vec<Vec<f64>>)> = Vec::new();
    for case in Case::of(&args.size) {
        let mut seconds = vec![Vec::new(); contenders.len()];
        for round in 1..=args.rounds {
            for (contender, seconds) in contenders.iter_mut().zip(&mut seconds) {
                if let Some(taken) = contender.run(&case)? {
                    println!("{case}; round {round}: {contender}, {taken:.4} s a forward");
                    seconds.push(taken);
                }
            }
        }
        let ours = table::ours(&contenders, &seconds);
        println!("\n{}", table::markdown(&case.to_string(), &contenders, &seconds, &ours));
        if case.cache == CacheKind::None {
            plain.push((case, seconds));
        } else if let Some((plain, seconds)) = plain.iter().find(|(plain, _)| plain.is_as_long_as(&case)) {
            let title = format!("{plain}, against ours with {case}");
            println!("{}", table::markdown(&title, &contenders, seconds, &ours));
        }
    }
    Ok(())
}
