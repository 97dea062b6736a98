//! From what was typed to a folder with a checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Cache, HubError, ModelId};

/// The branch that a model's name alone means.
const MAIN: &str = "main";

/// The folder that `typed` means: itself, or the snapshot in the cache of the model that it names.
///
/// What is neither a folder nor the name of a model is returned as it is, for whoever opens it to complain about.
///
/// # Errors
/// It names a model that is not in the cache, or not whole.
pub fn checkpoint(typed: &Path) -> Result<PathBuf, HubError> {
    checkpoint_in(Cache::locate, typed)
}

fn checkpoint_in(cache: impl FnOnce() -> Result<Cache, HubError>, typed: &Path) -> Result<PathBuf, HubError> {
    let model = typed.to_str().and_then(|name| name.parse::<ModelId>().ok());
    let Some(model) = model.filter(|_| !typed.exists()) else {
        return Ok(typed.to_owned());
    };
    let cache = cache()?;
    let Some(snapshot) = cache.repository(&model).snapshot(MAIN) else {
        let typed = typed.display().to_string();
        return Err(HubError::Absent { typed, model, cache: cache.root().to_owned() });
    };
    let missing = missing(&snapshot);
    if missing.is_empty() { Ok(snapshot) } else { Err(HubError::Incomplete { model, missing }) }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that loading a checkpoint needs and that `folder` lacks: the config, the weights or all their shards.
#[must_use]
pub fn missing(folder: &Path) -> Vec<String> {
    const INDEX: &str = "model.safetensors.index.json";
    let mut needed = BTreeSet::from(["config.json".to_owned()]);
    match fs::read_to_string(folder.join(INDEX)) {
        // An index that cannot be read is for whoever loads it to explain.
        Ok(text) => needed
            .extend(serde_json::from_str::<Index>(&text).into_iter().flat_map(|index| index.weight_map.into_values())),
        Err(_) => {
            needed.insert("model.safetensors".to_owned());
        }
    }
    needed.into_iter().filter(|file| !folder.join(file).exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cached(scratch: &Path, files: &[(&str, &str)]) -> PathBuf {
        let repository = Cache::at(scratch).repository(&"GSAI-ML/LLaDA-1.5".parse().unwrap());
        let snapshot = repository.files(COMMIT);
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(repository.folder().join("refs")).unwrap();
        fs::write(repository.reference(MAIN), COMMIT).unwrap();
        for (name, text) in files {
            fs::write(snapshot.join(name), text).unwrap();
        }
        snapshot
    }

    fn found(scratch: &Path, typed: &str) -> Result<PathBuf, HubError> {
        checkpoint_in(|| Ok(Cache::at(scratch)), Path::new(typed))
    }

    #[test]
    fn a_model_in_the_cache_is_found_under_each_of_its_names() {
        let scratch = tempfile::tempdir().unwrap();
        let snapshot = cached(scratch.path(), &[("config.json", "{}"), ("model.safetensors", "")]);
        for typed in ["llada-1.5", "GSAI-ML/LLaDA-1.5"] {
            assert_eq!(found(scratch.path(), typed), Ok(snapshot.clone()));
        }
    }

    #[test]
    fn a_model_that_is_not_there_comes_with_the_command_that_fetches_it() {
        let scratch = tempfile::tempdir().unwrap();
        let error = found(scratch.path(), "llada-8b-base").unwrap_err().to_string();
        assert!(error.contains(&scratch.path().display().to_string()), "{error}");
        assert!(error.ends_with("; hint: cargo xtask fetch-weights GSAI-ML/LLaDA-8B-Base"), "{error}");
    }

    #[test]
    fn every_shard_of_the_index_is_needed() {
        let scratch = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}}"#;
        cached(scratch.path(), &[("model.safetensors.index.json", index), ("1.safetensors", "")]);
        let error = found(scratch.path(), "llada-1.5").unwrap_err().to_string();
        assert!(error.contains("without 2.safetensors, config.json; hint: "), "{error}");
    }

    #[test]
    fn folders_and_what_is_no_name_are_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        for typed in [scratch.path().to_str().unwrap(), "nowhere", "./a/b", "a/b/c", "/a/b"] {
            assert_eq!(found(Path::new("/nothing"), typed), Ok(typed.into()));
        }
    }
}
