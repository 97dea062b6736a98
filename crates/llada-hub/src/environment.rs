//! Which folder the cache is: the variables of `huggingface_hub`, read as it reads them.

use std::env;
use std::path::PathBuf;

/// The value of a variable that is set and not empty.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The folder of everything that Hugging Face's programs keep: the token, and the cache of models.
#[must_use]
pub fn home() -> Option<PathBuf> {
    home_of(&variable)
}

/// The cache of models.
pub(crate) fn cache() -> Option<PathBuf> {
    cache_of(&variable)
}

fn home_of(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(home) = variable("HF_HOME") {
        return expanded(&home, variable);
    }
    let caches = variable("XDG_CACHE_HOME").unwrap_or_else(|| "~/.cache".to_owned());
    Some(expanded(&caches, variable)?.join("huggingface"))
}

fn cache_of(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // The second is the name that the first had before.
    match variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE")) {
        Some(cache) => expanded(&cache, variable),
        None => Some(home_of(variable)?.join("hub")),
    }
}

/// Python expands `~` in these variables; a shell does so only where it is not quoted.
fn expanded(path: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Some(PathBuf::from(variable("HOME")?).join(rest.trim_start_matches('/')))
        }
        _ => Some(path.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        cache_of(&variable).map(|folder| folder.display().to_string())
    }

    #[test]
    fn the_nearest_variable_decides() {
        let home = ("HOME", "/home/ada");
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        for (variables, expected) in [
            (&[home][..], "/home/ada/.cache/huggingface/hub"),
            (&[home, xdg], "/xdg/huggingface/hub"),
            (&[home, xdg, ("HF_HOME", "/hf")], "/hf/hub"),
            (&[home, ("HF_HOME", "~/hf")], "/home/ada/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")], "/new"),
        ] {
            assert_eq!(cache(variables).as_deref(), Some(expected), "{variables:?}");
        }
        assert_eq!(cache(&[]), None);
    }
}
