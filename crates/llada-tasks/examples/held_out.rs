//! Prints held-out questions of all tasks in turn, each with a right answer.
//!
//! ```text
//! cargo run -p llada-tasks --example held_out -- [COUNT] [SEED]
//! ```
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error};

use llada_core::rng::Noise;
use llada_tasks::{ALL, Split, mixture};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let count = arguments.next().map_or(Ok(10), |count| count.parse())?;
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    for (task, example) in mixture(&ALL, Split::HeldOut, Noise::new(seed)).take(count) {
        println!("{}", task.name());
        println!("  asked     {}", example.prompt);
        println!("  answered  {}", example.answer);
        // This is how a model's answer would be judged: white space around it is ignored, an additional word is not.
        assert!(example.check(&format!(" {}\n", example.answer)));
        assert!(!example.check(&format!("{} indeed", example.answer)));
    }
    Ok(())
}
