//! The settings of an adapter that a run goes on with: those in its folder. A run may change what is dropped, which is
//! no part of what an adapter computes.

use std::path::Path;

use llada_model::{Adapter, LoraConfig};
use serde_json::Value;
use toml::Table;

use crate::TrainError;

/// The key of what is dropped.
const DROPOUT: &str = "lora_dropout";

/// The settings of the adapter in `folder`, where `read` are those that the run has with `given` as its table.
///
/// # Errors
/// The folder has no adapter that can be read; a key that is given has another value there.
pub(super) fn settings(
    folder: &Path,
    given: Option<&Table>,
    read: Option<&LoraConfig>,
) -> Result<LoraConfig, TrainError> {
    let stored = Adapter::open(folder)?.config().clone();
    let (Some(given), Some(read)) = (given, read) else { return Ok(stored) };
    let values = |config| serde_json::to_value(config).map_err(|e| TrainError::Settings { message: e.to_string() });
    let (read_values, stored_values) = (values(read)?, values(&stored)?);
    for key in given.keys().filter(|key| *key != DROPOUT) {
        let [value, found] = [&read_values, &stored_values].map(|values| values.get(key).unwrap_or(&Value::Null));
        if value != found {
            let (folder, key) = (folder.to_owned(), key.clone());
            return Err(TrainError::OtherAdapter { folder, key, value: value.to_string(), found: found.to_string() });
        }
    }
    let lora_dropout = if given.contains_key(DROPOUT) { read.lora_dropout } else { stored.lora_dropout };
    Ok(LoraConfig { lora_dropout, ..stored })
}
