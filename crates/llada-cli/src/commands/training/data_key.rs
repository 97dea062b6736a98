//! The key `data` as a flag that may be given several times, each time with a weight.

use std::path::{Path, PathBuf};

use llada_train::config::{Data, DataPart};
use serde::{Serialize, Serializer};

/// Parses `PATH` or `PATH=WEIGHT`. What is there is a path, as is `year=2024` of a partitioned dataset.
pub(super) fn part(text: &str) -> Result<DataPart, String> {
    let weighted = text.rsplit_once('=').and_then(|(path, weight)| Some((path, weight.parse().ok()?)));
    let (path, weight) = weighted.filter(|_| !Path::new(text).exists()).unwrap_or((text, 1.0));
    Ok(DataPart { path: PathBuf::from(path), weight })
}

/// Writes the datasets as a run file has them.
pub(super) fn data<S: Serializer>(parts: &[DataPart], serializer: S) -> Result<S::Ok, S::Error> {
    match parts {
        // One with a weight is a list too, whose weights are checked.
        [one] if one.weight == 1.0 => Data::One(one.path.clone()),
        parts => Data::Mixture(parts.to_vec()),
    }
    .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let partition = folder.path().join("year=2024");
        std::fs::create_dir(&partition).unwrap();
        let partition = partition.to_str().unwrap();
        for (text, path, weight) in [
            (partition.to_owned(), partition, 1.0),
            (format!("{partition}=0.5"), partition, 0.5),
            ("a=0.7".to_owned(), "a", 0.7),
            ("a=b".to_owned(), "a=b", 1.0),
        ] {
            assert_eq!(part(&text).unwrap(), DataPart { path: PathBuf::from(path), weight }, "{text}");
        }
    }
}
