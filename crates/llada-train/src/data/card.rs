//! What the card of a Hugging Face dataset says of its files: the header of `README.md`, in YAML, with `configs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llada_model::guarded;
use yaml_rust2::{
    Yaml, YamlLoader,
    parser::{Event, Parser},
};

use super::files::{Splits, by_name};
use crate::TrainError;

/// The deepest nesting of a header; a card needs five.
const DEEPEST: usize = 64;

/// The files of the split `wanted` in the configuration `config_name`, or in the default one, and the names of the
/// others; none if there is no card, or it names no files.
///
/// # Errors
/// The card cannot be read, has no such configuration, or a pattern that matches no file.
pub(super) fn splits(
    data: &Path,
    files: &[PathBuf],
    config_name: Option<&str>,
    wanted: &str,
) -> Result<Option<Splits>, TrainError> {
    let card = data.join("README.md");
    let header = header(&card)?;
    let configs = header.as_ref().and_then(|header| header["configs"].as_vec());
    let Some(configs) = configs else {
        return match config_name {
            Some(name) => Err(TrainError::config("sft.config_name", name, "README.md of the data names none")),
            None => Ok(None),
        };
    };
    let refuse = |why: String| TrainError::file(&card, why);
    let config = chosen(configs, config_name)?;
    let mut splits = Splits::new();
    match &config["data_files"] {
        Yaml::BadValue => {
            let Some(below) = config["data_dir"].as_str() else { return Ok(None) };
            let below = below.trim_start_matches("./");
            let files: Vec<PathBuf> = files.iter().filter(|file| file.starts_with(below)).cloned().collect();
            return Ok(Some(by_name(&files)));
        }
        Yaml::Array(entries) if entries.iter().any(|entry| !entry["split"].is_badvalue()) => {
            for entry in entries {
                let split = entry["split"].as_str().unwrap_or("train").to_owned();
                let of_split = splits.entry(split.clone()).or_default();
                // Other splits need not be there.
                if split == wanted {
                    of_split.extend(matching(&entry["path"], files).map_err(refuse)?);
                }
            }
        }
        patterns => _ = splits.insert("train".to_owned(), matching(patterns, files).map_err(refuse)?),
    }
    Ok(Some(splits))
}

/// The YAML between the lines `---` that a card begins with.
fn header(card: &Path) -> Result<Option<Yaml>, TrainError> {
    if !card.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(card).map_err(TrainError::read(card))?.replace("\r\n", "\n");
    let Some((header, _)) = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")) else {
        return Ok(None);
    };
    let load = || {
        check(header)?;
        YamlLoader::load_from_str(header).map_err(|error| error.to_string())
    };
    let documents = guarded(&card.display().to_string(), load)?.map_err(|why| TrainError::file(card, why))?;
    Ok(documents.into_iter().next())
}

/// Refuses what a few bytes could make so deep or so large that no memory holds it.
fn check(header: &str) -> Result<(), String> {
    let mut parser = Parser::new_from_str(header);
    let mut depth = 0;
    loop {
        match parser.next_token().map_err(|error| error.to_string())?.0 {
            Event::StreamEnd => return Ok(()),
            Event::Alias(_) => return Err("its header has aliases".to_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("its header is nested more than {DEEPEST} levels deep"));
        }
    }
}

/// The configuration of this name; without one, the only or the default one.
fn chosen<'a>(configs: &'a [Yaml], config_name: Option<&str>) -> Result<&'a Yaml, TrainError> {
    fn name(config: &Yaml) -> &str {
        config["config_name"].as_str().unwrap_or("default")
    }
    let found = match config_name {
        Some(wanted) => configs.iter().find(|config| name(config) == wanted),
        None if configs.len() == 1 => configs.first(),
        None => configs.iter().find(|config| config["default"].as_bool() == Some(true) || name(config) == "default"),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = configs.iter().map(name).collect();
        let hint = format!("the data has {}", known.join(", "));
        TrainError::config("sft.config_name", config_name.unwrap_or("missing"), hint)
    })
}

/// The files that a pattern, or one of several, matches.
fn matching(patterns: &Yaml, files: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let patterns = match patterns {
        Yaml::Array(patterns) => patterns.iter().collect(),
        pattern => vec![pattern],
    };
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let mut matched = Vec::new();
    for pattern in patterns {
        let text = pattern.as_str().ok_or("data_files has what is no pattern")?;
        let pattern = glob::Pattern::new(text).map_err(|error| format!("data_files has {text}: {error}"))?;
        let before = matched.len();
        matched.extend(files.iter().filter(|file| pattern.matches_path_with(file, options)).cloned());
        if matched.len() == before {
            return Err(format!("data_files has {text}, and there is no such file"));
        }
    }
    matched.sort_unstable();
    matched.dedup();
    Ok(matched)
}
