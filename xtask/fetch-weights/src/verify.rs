//! The option `--verify`: compares every file with its digest and changes nothing.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xtask::failure::Failure;
use xtask::style;

use crate::destination::Destination;
use crate::listing::Listing;
use crate::request::Request;

pub(crate) fn run(request: &Request, listing: &Listing, destination: &Destination) -> Result<()> {
    let mut missing = Vec::new();
    let mut damaged = Vec::new();
    for file in &listing.files {
        let path = destination.path(file);
        if !path.exists() {
            println!("{} {}", style::bad("missing"), file.path);
            missing.push(file.path.as_str());
        } else if file.digest.fits(&path, file.size).with_context(|| format!("cannot read {}", path.display()))? {
            println!("{}      {}", style::good("ok"), file.path);
        } else {
            println!("{} {}", style::bad("damaged"), file.path);
            damaged.push(path);
        }
    }
    if missing.is_empty() && damaged.is_empty() {
        let count = listing.files.len();
        println!(
            "{} {count} files in {} are what they should be",
            style::good("done:"),
            destination.folder().display()
        );
        return Ok(());
    }
    let message = format!("files are not what they should be; damaged: {}, missing: {}", damaged.len(), missing.len());
    let hint = match damaged.as_slice() {
        [] => request.again(),
        // The target of a link is the damaged file, not the link.
        damaged => {
            let paths = damaged.iter().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
            let paths: Vec<String> = paths.map(|path: PathBuf| format!("'{}'", path.display())).collect();
            format!("rm {} && {}", paths.join(" "), request.again())
        }
    };
    Err(Failure::failed(message, hint).into())
}
