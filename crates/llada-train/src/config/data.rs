//! The key `data`: a dataset, or several with the share of each.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

use crate::TrainError;

/// What a run trains on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// One dataset.
    One(PathBuf),
    /// Several, mixed.
    Mixture(Vec<DataPart>),
}

/// A dataset of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPart {
    /// The file or folder.
    pub path: PathBuf,
    /// Its share of the rows, relative to the others' \[1\].
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl From<PathBuf> for Data {
    fn from(path: PathBuf) -> Self {
        Self::One(path)
    }
}

impl Data {
    /// The datasets, each with its weight.
    pub(crate) fn parts(&self) -> Vec<(&Path, f64)> {
        match self {
            Self::One(path) => vec![(path, 1.0)],
            Self::Mixture(parts) => parts.iter().map(|part| (part.path.as_path(), part.weight)).collect(),
        }
    }

    /// The dataset, if it is one.
    pub fn one(&self) -> Option<&Path> {
        match self.parts().as_slice() {
            [(path, _)] => Some(path),
            _ => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let parts = self.parts();
        if parts.is_empty() {
            return Err(TrainError::config("data", "an empty list", "say what to train on"));
        }
        match parts.into_iter().find(|(_, weight)| !(*weight > 0.0 && weight.is_finite())) {
            Some((path, weight)) => {
                let hint = format!("give {} a positive share of the rows, such as 0.3", path.display());
                Err(TrainError::config("data.weight", weight, hint))
            }
            None => Ok(()),
        }
    }
}

// Not derived, because errors of a list would not name the key in it.
impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a list of tables with path and weight")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<Data, E> {
                Ok(Data::One(PathBuf::from(path)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Data, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                Ok(Data::Mixture(parts))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}
