//! Reads the records of a file and prints the questions that a benchmark makes of them.
//!
//! ```text
//! cargo run -p llada-eval --example questions -- [TASK FILE]
//! ```
//!
//! Without arguments: `arc_challenge`, on three invented records.
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error, path::PathBuf};

use llada_eval::{BENCHMARKS, Benchmark, Question, Style, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "arc_challenge".to_owned());
    let invented = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/arc.jsonl");
    let file = arguments.next().map_or_else(|| PathBuf::from(invented), PathBuf::from);

    let Some(task) = Benchmark::by_name(&name) else {
        let known = BENCHMARKS.map(|task| task.name).join(", ");
        return Err(format!("unknown task {name:?}; hint: {known}").into());
    };
    println!("{name}: {}", task.about);
    for record in read(&file)? {
        match task.question(&record, Style::Plain)? {
            Question::Choice(choice) => {
                for option in &choice.options {
                    let mark = if option.right { "right" } else { "wrong" };
                    println!("{mark}  {:?} + {:?}", option.context, option.continuation);
                }
            }
            Question::FreeForm(generation) => {
                println!("{}", generation.prompt);
                println!("answered up to the first of {:?}", generation.stops);
            }
        }
    }
    Ok(())
}
