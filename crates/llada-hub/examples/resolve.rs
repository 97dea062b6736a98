//! Prints the location of a model in the cache, or the command that downloads it.
//!
//! ```text
//! cargo run -p llada-hub --example resolve -- [NAME..]
//! ```
//!
//! A NAME is a short name, OWNER/NAME, or a folder. Without a NAME all short names are looked up.
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, path::Path};

use llada_hub::{Cache, KNOWN, ModelId, checkpoint};

fn main() {
    println!("cache: {}", Cache::locate().root().display());
    let mut names: Vec<String> = env::args().skip(1).collect();
    if names.is_empty() {
        names = KNOWN.map(|(short, _)| short.to_owned()).to_vec();
    }
    for name in names {
        if let Ok(model) = name.parse::<ModelId>() {
            println!("{name} is {model}, kept in {}", model.folder());
        }
        match checkpoint(Path::new(&name)) {
            Ok(folder) => println!("  {}", folder.display()),
            Err(error) => println!("  {error}; hint: {}", error.hint().unwrap_or_default()),
        }
    }
}
