//! Models in several files, as llama.cpp's `gguf-split` writes them: `model-00001-of-00003.gguf` and so on.
//!
//! Every file says its number (`split.no`, from 0), how many there are (`split.count`) and how many tensors are in all of
//! them (`split.tensors.count`). The first has all other keys.
//!
//! Source: `split_strategy` of `tools/gguf-split/gguf-split.cpp` and `llama_split_path` of llama.cpp.

use std::path::{Path, PathBuf};

use crate::{Gguf, GgufError};

const NUMBER: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS: &str = "split.tensors.count";

/// The largest count that fits llama.cpp's type.
const MOST: u64 = u16::MAX as u64;

/// How many missing files are named.
const NAMED: usize = 3;

impl Gguf {
    /// The whole model, if `self` is a part of one.
    pub(crate) fn joined(self) -> Result<Self, GgufError> {
        let Some(count) = self.unsigned(COUNT)?.filter(|count| *count > 1) else { return Ok(self) };
        if count > MOST {
            return Err(self.key_error(COUNT, format!("{count} is more than {MOST}")));
        }
        let paths = self.paths(count)?;
        let missing: Vec<&PathBuf> = paths.iter().filter(|path| !path.exists()).collect();
        if !missing.is_empty() {
            let name = |path: &&PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut names: Vec<String> = missing.iter().take(NAMED).map(name).collect();
            if missing.len() > NAMED {
                names.push(format!("{} more", missing.len() - NAMED));
            }
            return Err(GgufError::MissingParts { path: self.path().to_owned(), count, missing: names });
        }
        let Some((first, others)) = paths.split_first() else { return Ok(self) };
        let mut whole = Self::part(first, 0, count)?;
        for (number, path) in (1..).zip(others) {
            whole = whole.add(Self::part(path, number, count)?)?;
        }
        let (found, promised) = (whole.tensors().count() as u64, whole.unsigned(TENSORS)?);
        if promised.is_some_and(|promised| promised != found) {
            let message = format!("{} tensors are promised, and {found} are there", promised.unwrap_or(0));
            return Err(whole.key_error(TENSORS, message));
        }
        Ok(whole)
    }

    /// The files of all parts, by the name of this one.
    fn paths(&self, count: u64) -> Result<Vec<PathBuf>, GgufError> {
        let number = self.unsigned(NUMBER)?.filter(|number| *number < count);
        let number = number.ok_or_else(|| self.key_error(NUMBER, format!("it is no number below {count}")))?;
        let name = self.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ending = ending(number, count);
        let Some(prefix) = name.strip_suffix(&ending) else {
            let message = format!("the file's name has to end with {ending}, by which the others are found");
            return Err(self.key_error(NUMBER, message));
        };
        let folder = self.path().parent().unwrap_or(Path::new(""));
        Ok((0..count).map(|number| folder.join(format!("{prefix}{}", self::ending(number, count)))).collect())
    }

    /// The part with this number.
    fn part(path: &Path, number: u64, count: u64) -> Result<Self, GgufError> {
        let part = Self::open_alone(path)?;
        for (key, expected) in [(NUMBER, number), (COUNT, count)] {
            let found = part.unsigned(key)?;
            if found != Some(expected) {
                let found = found.map_or("missing".to_owned(), |found| found.to_string());
                return Err(part.key_error(key, format!("it is {found}, and by the file's name {expected}")));
            }
        }
        Ok(part)
    }
}

/// The end of the name of a part.
fn ending(number: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", number + 1)
}
