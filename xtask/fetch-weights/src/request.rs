//! The request: the model, its revision, the files, and the destination.

use std::path::{self, PathBuf};

use anyhow::{Context, Result};
use glob::Pattern;
use llada_hub::ModelId;
use xtask::failure::Failure;
use xtask::fetch::FetchArgs;

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) model: ModelId,
    pub(crate) revision: String,
    pub(crate) dest: Option<PathBuf>,
    pub(crate) only: Option<Pattern>,
}

impl Request {
    pub(crate) fn new(args: &FetchArgs) -> Result<Self> {
        let model = args
            .model
            .parse::<ModelId>()
            .map_err(|error| Failure::failed(error.to_string(), error.hint().unwrap_or_default()))?;
        if !is_revision(&args.revision) {
            return Err(Failure::failed(
                format!("{:?} is not the name of a branch, tag or commit", args.revision),
                format!("cargo xtask fetch-weights {model} --revision main"),
            )
            .into());
        }
        let only = args.only.as_deref().map(|glob| {
            Pattern::new(glob).map_err(|error| {
                Failure::failed(
                    format!("--only {glob}: {}", error.msg),
                    format!("cargo xtask fetch-weights {model} --only '*.safetensors'"),
                )
            })
        });
        let dest = args.dest.as_deref().map(path::absolute).transpose().context("--dest is empty")?;
        Ok(Self { revision: args.revision.clone(), dest, only: only.transpose()?, model })
    }

    /// Returns the command that continues the download, for a hint.
    pub(crate) fn again(&self) -> String {
        let mut command = format!("cargo xtask fetch-weights {}", self.model);
        if self.revision != "main" {
            command += &format!(" --revision {}", self.revision);
        }
        if let Some(dest) = &self.dest {
            command += &format!(" --dest '{}'", dest.display());
        }
        if let Some(only) = &self.only {
            command += &format!(" --only '{only}'");
        }
        command
    }
}

/// Returns true if `revision` is a valid revision. It becomes a path below `refs` and must not lead out of it.
fn is_revision(revision: &str) -> bool {
    revision.split('/').all(is_part_of_revision)
}

fn is_part_of_revision(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_stay_below_their_folder() {
        for revision in ["main", "v1.0", "refs/pr/1", "0123abc"] {
            assert!(is_revision(revision), "{revision}");
        }
        for revision in ["", "..", "a/../b", "/etc", "a//b", "a b", "-x", "a\\b", "a?b"] {
            assert!(!is_revision(revision), "{revision}");
        }
    }
}
