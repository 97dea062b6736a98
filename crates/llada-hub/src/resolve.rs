//! Resolution of names to folders with checkpoints and to files of datasets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{Cache, HubError, ModelId};

/// The branch whose files a name stands for.
const MAIN: &str = "main";

/// Returns the folder of the checkpoint `typed`, which is a path or the name of a model in the cache.
///
/// # Errors
/// If `typed` is neither an existing path nor the name of a model, or if the cache does not have all files of the model.
pub fn checkpoint(typed: &Path) -> Result<PathBuf, HubError> {
    checkpoint_in(&Cache::locate(), typed)
}

fn checkpoint_in(cache: &Cache, typed: &Path) -> Result<PathBuf, HubError> {
    // If it is a file and not a folder, the error of opening it explains more.
    if typed.exists() {
        return Ok(typed.to_owned());
    }
    let Some(model) = typed.to_str().and_then(|name| name.parse::<ModelId>().ok()) else {
        return Err(HubError::NoModel { typed: typed.display().to_string() });
    };
    let Some(snapshot) = cache.repository(&model).snapshot(MAIN) else {
        let typed = typed.display().to_string();
        return Err(HubError::Absent { typed, model, cache: cache.root().to_owned() });
    };
    // Adapters and weights in other formats are complete without these files. Loading them explains what is wrong.
    let missing = if is_of_other_kind(&snapshot) { Vec::new() } else { missing(&snapshot) };
    if missing.is_empty() { Ok(snapshot) } else { Err(HubError::Incomplete { model, missing }) }
}

/// Returns the path of a cached file of a dataset. `typed` is `OWNER/NAME/PATH`, where `PATH` is a path in the branch
/// `main`.
///
/// # Errors
/// If `typed` has another form, or if the file is not in the cache.
pub fn dataset_file(typed: &str) -> Result<PathBuf, HubError> {
    dataset_file_in(&Cache::locate(), typed)
}

fn dataset_file_in(cache: &Cache, typed: &str) -> Result<PathBuf, HubError> {
    let Some((dataset, file)) = dataset_and_file(typed) else {
        return Err(HubError::DatasetName { typed: typed.to_owned() });
    };
    if let Some(snapshot) = cache.dataset(&dataset).snapshot(MAIN) {
        let path = snapshot.join(file);
        if path.is_file() {
            return Ok(path);
        }
    }
    Err(HubError::DatasetAbsent { dataset, file: file.to_owned(), cache: cache.root().to_owned() })
}

/// Splits `OWNER/NAME/PATH`. Returns `None` if the text has another form or the path leads out of the dataset.
fn dataset_and_file(typed: &str) -> Option<(ModelId, &str)> {
    let mut parts = typed.splitn(3, '/');
    let (owner, name, file) = (parts.next()?, parts.next()?, parts.next()?);
    let dataset = format!("{owner}/{name}").parse().ok()?;
    let is_inside = Path::new(file).components().all(|component| matches!(component, Component::Normal(_)));
    (is_inside && !file.is_empty()).then_some((dataset, file))
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Returns the names of the files that are needed to load a checkpoint and that `folder` lacks: the config, and the weights
/// or their shards.
#[must_use]
pub fn missing(folder: &Path) -> Vec<String> {
    const SINGLE: &str = "model.safetensors";
    let mut needed = BTreeSet::from(["config.json".to_owned()]);
    match fs::read_to_string(folder.join("model.safetensors.index.json")) {
        // As in loading, a single file has precedence over an index.
        Ok(text) if !folder.join(SINGLE).exists() => {
            // The error of loading an invalid index explains more.
            let index = serde_json::from_str::<Index>(text.trim_start_matches('\u{feff}'));
            needed.extend(index.into_iter().flat_map(|index| index.weight_map.into_values()));
        }
        _ => _ = needed.insert(SINGLE.to_owned()),
    }
    needed.into_iter().filter(|file| !folder.join(file).exists()).collect()
}

/// Returns true if the folder has an adapter or weights in another format, and no safetensors of a model.
fn is_of_other_kind(folder: &Path) -> bool {
    let mut is_other = false;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.contains(".safetensors") && !name.starts_with("adapter") {
            return false;
        }
        is_other |= name == "adapter_config.json" || name.ends_with(".bin") || name.ends_with(".gguf");
    }
    is_other
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
        let error = found(scratch.path(), "llada-8b-base").unwrap_err();
        assert!(error.to_string().contains(&scratch.path().display().to_string()), "{error}");
        assert_eq!(error.hint().unwrap(), "cargo xtask fetch-weights GSAI-ML/LLaDA-8B-Base");
    }

    #[test]
    fn every_shard_of_the_index_is_needed() {
        let scratch = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}}"#;
        cached(scratch.path(), &[("model.safetensors.index.json", index), ("1.safetensors", "")]);
        let error = found(scratch.path(), "llada-1.5").unwrap_err();
        assert!(error.to_string().ends_with("without 2.safetensors, config.json"), "{error}");
        assert_eq!(error.hint().unwrap(), "cargo xtask fetch-weights GSAI-ML/LLaDA-1.5");
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
            let error = found(Path::new("/nothing"), typed).unwrap_err();
            assert!(error.to_string().starts_with(&format!("there is no model {typed:?}")), "{error}");
            assert!(error.hint().unwrap().contains("llada-8b-instruct, llada-1.5, illada-8b-base, "), "{error}");
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
        let hint = find("openai/gsm8k/main/test.parquet").unwrap_err().hint().unwrap();
        assert_eq!(hint, "hf download --repo-type dataset openai/gsm8k main/test.parquet");

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
