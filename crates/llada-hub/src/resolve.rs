//! From what was typed to a folder with a checkpoint, or to a file of a dataset.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{Cache, HubError, KNOWN, ModelId};

/// The branch that a model's name alone means.
const MAIN: &str = "main";

/// The folder that `typed` means: itself, or the snapshot in the cache of the model that it names.
///
/// # Errors
/// It is no folder, and names no model, or one that is not in the cache, or not whole.
pub fn checkpoint(typed: &Path) -> Result<PathBuf, HubError> {
    checkpoint_in(&Cache::locate(), typed)
}

fn checkpoint_in(cache: &Cache, typed: &Path) -> Result<PathBuf, HubError> {
    // What is there is opened, and a file in the place of a folder explained by whoever opens it.
    if typed.exists() {
        return Ok(typed.to_owned());
    }
    let Some(model) = typed.to_str().and_then(|name| name.parse::<ModelId>().ok()) else {
        let typed = typed.display().to_string();
        return Err(HubError::NoModel { typed, known: KNOWN.map(|(short, _)| short).join(", ") });
    };
    let Some(snapshot) = cache.repository(&model).snapshot(MAIN) else {
        let typed = typed.display().to_string();
        return Err(HubError::Absent { typed, model, cache: cache.root().to_owned() });
    };
    // An adapter, or weights in another format, lack nothing that could be fetched.
    let missing = if is_of_other_kind(&snapshot) { Vec::new() } else { missing(&snapshot) };
    if missing.is_empty() { Ok(snapshot) } else { Err(HubError::Incomplete { model, missing }) }
}

/// The file in the cache that `typed` means: `OWNER/NAME/PATH`, with the path in a dataset's branch `main`.
///
/// # Errors
/// It names no file of a dataset, or one that is not in the cache.
pub fn dataset_file(typed: &str) -> Result<PathBuf, HubError> {
    dataset_file_in(&Cache::locate(), typed)
}

fn dataset_file_in(cache: &Cache, typed: &str) -> Result<PathBuf, HubError> {
    let unnamed = || HubError::DatasetName { typed: typed.to_owned() };
    let mut parts = typed.splitn(3, '/');
    let (Some(owner), Some(name), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(unnamed());
    };
    let dataset: ModelId = format!("{owner}/{name}").parse().map_err(|_| unnamed())?;
    // Nothing that leads out of the snapshot.
    let inside = |component| matches!(component, Component::Normal(_));
    if file.is_empty() || !Path::new(file).components().all(inside) {
        return Err(unnamed());
    }
    let path = cache.dataset(&dataset).snapshot(MAIN).map(|snapshot| snapshot.join(file));
    let absent = || HubError::DatasetAbsent { dataset, file: file.to_owned(), cache: cache.root().to_owned() };
    path.filter(|path| path.is_file()).ok_or_else(absent)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that loading a checkpoint needs and that `folder` lacks: the config, the weights or all their shards.
#[must_use]
pub fn missing(folder: &Path) -> Vec<String> {
    const SINGLE: &str = "model.safetensors";
    let mut needed = BTreeSet::from(["config.json".to_owned()]);
    match fs::read_to_string(folder.join("model.safetensors.index.json")) {
        // A single file goes before an index, as it does where weights are loaded.
        Ok(text) if !folder.join(SINGLE).exists() => {
            // An index that cannot be read is for whoever loads it to explain.
            let index = serde_json::from_str::<Index>(text.trim_start_matches('\u{feff}'));
            needed.extend(index.into_iter().flat_map(|index| index.weight_map.into_values()));
        }
        _ => _ = needed.insert(SINGLE.to_owned()),
    }
    needed.into_iter().filter(|file| !folder.join(file).exists()).collect()
}

/// Whether a folder without safetensors holds what is no checkpoint of these, however much were fetched.
fn is_of_other_kind(folder: &Path) -> bool {
    let names =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> = names.collect();
    let is_safetensors = |name: &String| name.contains(".safetensors") && !name.starts_with("adapter");
    let is_other = |name: &String| name == "adapter_config.json" || name.ends_with(".bin") || name.ends_with(".gguf");
    names.iter().any(is_other) && !names.iter().any(is_safetensors)
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
        checkpoint_in(&Cache::at(scratch), Path::new(typed))
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
    fn what_is_there_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let typed = scratch.path().to_str().unwrap();
        assert_eq!(found(Path::new("/nothing"), typed), Ok(typed.into()));
    }

    #[test]
    fn what_is_neither_a_folder_nor_a_name_is_no_model() {
        for typed in ["nope", "./a/b", "a/b/c", "/a/b", "", "llada-8b-instrukt"] {
            let error = found(Path::new("/nothing"), typed).unwrap_err().to_string();
            assert!(error.starts_with(&format!("there is no model {typed:?}")), "{error}");
            assert!(
                error.contains("; hint: ") && error.contains("llada-8b-instruct, llada-1.5, or OWNER/NAME"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_no_download_completes_is_left_to_whoever_opens_it() {
        for file in ["adapter_config.json", "pytorch_model.bin"] {
            let scratch = tempfile::tempdir().unwrap();
            let snapshot = cached(scratch.path(), &[(file, "{}")]);
            assert_eq!(found(scratch.path(), "llada-1.5"), Ok(snapshot));
        }
    }

    #[test]
    fn a_single_file_of_weights_goes_before_an_index() {
        let scratch = tempfile::tempdir().unwrap();
        let index = "\u{feff}{\"weight_map\": {\"a\": \"1.safetensors\"}}";
        let snapshot = cached(scratch.path(), &[("model.safetensors.index.json", index), ("config.json", "{}")]);
        assert_eq!(missing(&snapshot), ["1.safetensors"]);
        fs::write(snapshot.join("model.safetensors"), "").unwrap();
        assert_eq!(missing(&snapshot), Vec::<String>::new());
    }

    #[test]
    fn a_file_of_a_dataset_is_found_by_its_path() {
        let scratch = tempfile::tempdir().unwrap();
        let find = |typed| dataset_file_in(&Cache::at(scratch.path()), typed);
        let message = find("openai/gsm8k/main/test.parquet").unwrap_err().to_string();
        assert!(message.ends_with("hint: hf download --repo-type dataset openai/gsm8k main/test.parquet"), "{message}");

        let repository = Cache::at(scratch.path()).dataset(&"openai/gsm8k".parse().unwrap());
        assert!(repository.folder().ends_with("datasets--openai--gsm8k"));
        let folder = repository.files(COMMIT).join("main");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(repository.folder().join("refs")).unwrap();
        fs::write(repository.reference(MAIN), COMMIT).unwrap();
        fs::write(folder.join("test.parquet"), "").unwrap();
        assert_eq!(find("openai/gsm8k/main/test.parquet").unwrap(), folder.join("test.parquet"));
        assert!(find("openai/gsm8k/main").is_err());
        for typed in ["", "openai/gsm8k", "openai/gsm8k/", "openai/gsm8k//etc", "openai/gsm8k/../x", "../../x"] {
            assert!(matches!(find(typed), Err(HubError::DatasetName { .. })), "{typed}");
        }
    }
}
