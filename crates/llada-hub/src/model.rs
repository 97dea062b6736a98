//! Names of models: `owner/name` as on the hub, and short names for published models.

use std::fmt;
use std::str::FromStr;

use crate::HubError;

/// Short names with the repositories that they stand for.
pub const KNOWN: [(&str, &str); 11] = [
    ("llada-8b-base", "GSAI-ML/LLaDA-8B-Base"),
    ("llada-8b-instruct", "GSAI-ML/LLaDA-8B-Instruct"),
    ("llada-1.5", "GSAI-ML/LLaDA-1.5"),
    ("illada-8b-base", "GSAI-ML/iLLaDA-8B-Base"),
    ("illada-8b-instruct", "GSAI-ML/iLLaDA-8B-Instruct"),
    ("llada-moe-base", "inclusionAI/LLaDA-MoE-7B-A1B-Base"),
    ("llada-moe", "inclusionAI/LLaDA-MoE-7B-A1B-Instruct"),
    ("llada2-mini", "inclusionAI/LLaDA2.0-mini"),
    ("llada2.1-mini", "inclusionAI/LLaDA2.1-mini"),
    ("dream-7b-base", "Dream-org/Dream-v0-Base-7B"),
    ("dream-7b", "Dream-org/Dream-v0-Instruct-7B"),
];

/// The hub's limit on the length of a name, in bytes.
const LONGEST: usize = 96;

/// The name of a repository on the hub, `owner/name`. It is safe as a part of a path or URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId(String);

impl ModelId {
    /// Returns the name of the model's folder in the cache, `models--owner--name`.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// Returns the name of the folder of a dataset in the cache, `datasets--owner--name`.
    pub(crate) fn dataset_folder(&self) -> String {
        format!("datasets--{}", self.0.replace('/', "--"))
    }

    /// Returns the name as `owner/name`.
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
            _ => Err(HubError::Name { typed: typed.to_owned() }),
        }
    }
}

/// Returns true if `part` is a valid owner or name on the hub. Other texts would be ambiguous in the cache, where `--` is a
/// separator, or lead out of its folder.
fn is_name(part: &str) -> bool {
    !part.is_empty()
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
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
            let error = typed.parse::<ModelId>().unwrap_err();
            assert!(error.to_string().contains(&format!("{typed:?}")), "{error}");
            assert!(error.hint().unwrap().contains("llada-1.5"), "{error}");
        }
    }
}
