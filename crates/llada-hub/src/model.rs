//! Names of models: `owner/name`, as the hub has them, and short ones for LLaDA's own.

use std::fmt;
use std::str::FromStr;

use crate::HubError;

/// Short names, and the repositories that they stand for.
pub const KNOWN: [(&str, &str); 3] = [
    ("llada-8b-base", "GSAI-ML/LLaDA-8B-Base"),
    ("llada-8b-instruct", "GSAI-ML/LLaDA-8B-Instruct"),
    ("llada-1.5", "GSAI-ML/LLaDA-1.5"),
];

/// The hub's limit on the length of a name.
const LONGEST: usize = 96;

/// A model's repository on the hub, `owner/name`. It is safe to be a part of a path or of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId(String);

impl ModelId {
    /// What the cache calls the repository's folder: `models--owner--name`.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// What the cache calls the folder of a dataset of this name: `datasets--owner--name`.
    pub(crate) fn dataset_folder(&self) -> String {
        format!("datasets--{}", self.0.replace('/', "--"))
    }

    /// `owner/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelId {
    type Err = HubError;

    fn from_str(typed: &str) -> Result<Self, HubError> {
        if let Some((_, full)) = KNOWN.iter().find(|(short, _)| *short == typed) {
            return Ok(Self((*full).to_owned()));
        }
        match typed.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) && typed.len() <= LONGEST => {
                Ok(Self(typed.to_owned()))
            }
            _ => Err(HubError::Name { typed: typed.to_owned(), known: KNOWN.map(|(short, _)| short).join(", ") }),
        }
    }
}

/// The hub's rule. What it excludes would be ambiguous in the cache, where `--` is the separator, or leave the folder.
fn is_name(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !part.is_empty()
        && part.chars().all(inner)
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
        && !part.contains("--")
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stand_for_repositories() {
        for (short, full) in KNOWN {
            assert_eq!(short.parse::<ModelId>().unwrap().as_str(), full);
            assert_eq!(full.parse::<ModelId>().unwrap().as_str(), full);
        }
    }

    #[test]
    fn what_cannot_be_a_repository_is_refused() {
        let long = format!("a/{}", "b".repeat(95));
        for typed in
            ["", "llada", "a/", "/b", "a/b/c", "../b", "a/..", "a--b/c", "a/b..c", "a/-b", "a/b c", "~/b", &long]
        {
            let error = typed.parse::<ModelId>().unwrap_err().to_string();
            assert!(error.contains(&format!("{typed:?}")) && error.contains("llada-1.5"), "{error}");
        }
    }
}
