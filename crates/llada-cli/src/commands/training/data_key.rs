//! The key `data` as a flag that may be given several times, each time with a weight.

use std::path::PathBuf;

use llada_train::config::{Data, DataPart};
use serde::{Serialize, Serializer};

/// Parses `PATH` or `PATH=WEIGHT`.
pub(super) fn part(text: &str) -> Result<DataPart, String> {
    let weighted = text.rsplit_once('=').and_then(|(path, weight)| Some((path, weight.parse().ok()?)));
    let (path, weight) = weighted.unwrap_or((text, 1.0));
    Ok(DataPart { path: PathBuf::from(path), weight })
}

/// Writes the datasets as a run file has them.
pub(super) fn data<S: Serializer>(parts: &[DataPart], serializer: S) -> Result<S::Ok, S::Error> {
    match parts {
        [one] => Data::One(one.path.clone()),
        parts => Data::Mixture(parts.to_vec()),
    }
    .serialize(serializer)
}
