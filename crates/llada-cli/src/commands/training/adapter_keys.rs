//! The keys of a run file's table `[adapter]`, as flags.

use std::{fmt::Display, str::FromStr};

use serde::{Serialize, Serializer};

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [adapter], LoRA in place of training all weights; their names are peft's")]
pub(super) struct AdapterKeys {
    /// Rank [default: 8]
    #[arg(long, value_name = "N")]
    r: Option<usize>,
    /// What adapters are multiplied by, once it is divided by the rank [default: 8]
    #[arg(long, value_name = "F")]
    lora_alpha: Option<f64>,
    /// Probability with which an element of an adapter's input is dropped [default: 0]
    #[arg(long, value_name = "F")]
    lora_dropout: Option<f64>,
    /// Divided by the root of the rank instead [default: false]
    #[arg(long, value_name = "BOOL")]
    use_rslora: Option<bool>,
    /// Layers with adapters, by the ends of their names; in a run file one text is a regular expression of whole names
    /// [default: all linear layers of the blocks]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    target_modules: Option<Vec<String>>,
    /// Layers without adapters all the same [default: none]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    exclude_modules: Option<Vec<String>>,
    /// Modules that are trained and saved as a whole, by the ends of their names [default: none]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    modules_to_save: Option<Vec<String>>,
    /// Numbers of the blocks with adapters, from 0, with a list of target_modules [default: all]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    layers_to_transform: Option<Vec<u64>>,
    /// Names of the lists that these numbers count in, as regular expressions [default: any]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    layers_pattern: Option<Vec<String>>,
    /// Ranks of layers whose names end with a match of a regular expression, a table in a run file [default: none]
    #[arg(long, value_name = "REGEX=N,...", value_delimiter = ',', value_parser = pattern::<i64>)]
    #[serde(serialize_with = "table")]
    rank_pattern: Option<Vec<(String, i64)>>,
    /// The same for lora_alpha [default: none]
    #[arg(long, value_name = "REGEX=F,...", value_delimiter = ',', value_parser = pattern::<f64>)]
    #[serde(serialize_with = "table")]
    alpha_pattern: Option<Vec<(String, f64)>>,
}

/// Parses a regular expression and a number.
fn pattern<T: FromStr<Err: Display>>(text: &str) -> Result<(String, T), String> {
    let (pattern, value) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} is not REGEX=NUMBER"))?;
    Ok((pattern.to_owned(), value.parse().map_err(|error| format!("{value:?}: {error}"))?))
}

fn table<S: Serializer, T: Serialize>(entries: &Option<Vec<(String, T)>>, serializer: S) -> Result<S::Ok, S::Error> {
    match entries {
        None => serializer.serialize_none(),
        Some(entries) => serializer.collect_map(entries.iter().map(|(pattern, value)| (pattern, value))),
    }
}
