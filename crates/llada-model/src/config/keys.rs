//! The keys of one `config.json`: each is asked for once, and everything that is wrong with them is noted, not only the
//! first fault.
//!
//! Null is absent. An integer may be written as 32 or as 32.0, which JSON does not tell apart; text is never a number,
//! nor a number text, as the published configuration class converts nothing either.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::known::{self, Fixed};
use crate::{ModelConfig, ModelError, quantize};

/// Sizes beyond this are typing errors or attacks; below it no product of two of them overflows.
pub(crate) const LARGEST: usize = 1 << 28;

/// The largest of the integers that 64-bit floats have without gaps.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The keys that have not been read yet, and the findings so far.
pub(crate) struct Keys {
    /// Those that nobody has asked for yet.
    left: Map<String, Value>,
    /// The checkpoint's folder, if there is one.
    folder: Option<PathBuf>,
    pub(crate) problems: Vec<ModelError>,
    /// Keys that change nothing, as they are found.
    pub(crate) without_effect: Vec<String>,
}

/// The rules by which a family judges the keys that its config was not read from.
pub(crate) struct Rules {
    /// The family's name in messages.
    pub(crate) family: &'static str,
    /// The keys that have one value in this family.
    pub(crate) fixed: Vec<Fixed>,
    /// Keys of other families' classes, with the values that are true of this one.
    pub(crate) foreign: Vec<(&'static str, Value)>,
    /// Other families' names of this one's keys: the foreign name and the own one.
    pub(crate) synonyms: &'static [(&'static str, &'static str)],
    /// Keys that change nothing, beside those that change nothing in any family.
    pub(crate) inert: &'static [&'static str],
    /// The keys that the config was read from, with the values that were taken.
    pub(crate) own: Map<String, Value>,
    pub(crate) rope_theta: f64,
    /// The share of each head's dimensions that is rotated.
    pub(crate) rotary_factor: f64,
}

impl Rules {
    /// The rules of a family with Hugging Face's names, for keys that `config` was read from.
    pub(crate) fn new(
        family: &'static str,
        own: Map<String, Value>,
        config: &ModelConfig,
        foreign: Vec<(&'static str, Value)>,
    ) -> Self {
        Self {
            family,
            fixed: vec![Fixed { key: "hidden_act", value: "silu".into(), absent: "silu".into() }],
            foreign,
            synonyms: &[],
            inert: &[],
            own,
            rope_theta: config.rope_theta,
            rotary_factor: config.rotary_dim as f64 / config.head_dim as f64,
        }
    }
}

impl Keys {
    pub(crate) fn new(keys: Map<String, Value>, folder: Option<&Path>) -> Self {
        let (null, left): (Map<_, _>, Map<_, _>) = keys.into_iter().partition(|(_, value)| value.is_null());
        let without_effect = null.into_iter().map(|(key, _)| key).collect();
        Self { left, folder: folder.map(Path::to_owned), problems: Vec::new(), without_effect }
    }

    /// The checkpoint's folder; none where new weights are described.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether the key is there and nobody has asked for it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Notes that the value of `key` cannot be honoured.
    pub(crate) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(ModelError::config(key, message));
    }

    /// The value as `read` understands it; nothing, and a problem if it is there, where `read` does not.
    fn read<T>(&mut self, key: &str, wanted: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.left.remove(key)?;
        let found = read(&value);
        if found.is_none() {
            let message = format!("{value} is not {wanted}");
            let is_quoted_number = value.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok());
            if is_quoted_number {
                self.problems.push(ModelError::config_with_advice(key, message, "write it without quotes"));
            } else {
                self.refuse(key, message);
            }
        }
        found
    }

    /// A size; none where the key is absent.
    pub(crate) fn size(&mut self, key: &str) -> Option<usize> {
        let wanted = format!("an integer between 1 and {LARGEST}");
        self.read(key, &wanted, |value| {
            let size = usize::try_from(integer(value)?).ok()?;
            (1..=LARGEST).contains(&size).then_some(size)
        })
    }

    /// A positive number; none where the key is absent.
    pub(crate) fn positive(&mut self, key: &str) -> Option<f64> {
        self.read(key, "a positive number", |value| value.as_f64().filter(|number| number.is_finite() && *number > 0.0))
    }

    /// The factor of a term that is left out at zero; none where it is, or where the key is absent.
    pub(crate) fn coefficient(&mut self, key: &str) -> Option<f64> {
        let is_valid = |number: &f64| number.is_finite() && *number >= 0.0;
        let number = self.read(key, "a number that is not negative", |value| value.as_f64().filter(is_valid));
        number.filter(|&number| number > 0.0)
    }

    /// A truth value; none where the key is absent.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A size that has to be there.
    pub(crate) fn required_size(&mut self, key: &str) -> usize {
        if !self.has(key) {
            self.refuse(key, "the key is missing");
        }
        // After a problem the config is not used.
        self.size(key).unwrap_or(1)
    }

    /// A positive number that has to be there.
    pub(crate) fn required_positive(&mut self, key: &str) -> f64 {
        if !self.has(key) {
            self.refuse(key, "the key is missing");
        }
        self.positive(key).unwrap_or(1.0)
    }

    /// A number of things, which may be none; none where the key is absent.
    pub(crate) fn count(&mut self, key: &str) -> Option<usize> {
        let wanted = format!("an integer between 0 and {LARGEST}");
        self.read(key, &wanted, |value| usize::try_from(integer(value)?).ok().filter(|count| *count <= LARGEST))
    }

    /// The base of the rotary frequencies, which newer versions of transformers write into `rope_parameters`.
    pub(crate) fn rope_theta(&mut self) -> f64 {
        let nested = self.left.get("rope_parameters").and_then(|rope| rope.get("rope_theta")).and_then(Value::as_f64);
        match nested.filter(|theta| !self.has("rope_theta") && theta.is_finite() && *theta > 0.0) {
            Some(theta) => theta,
            None => self.required_positive("rope_theta"),
        }
    }

    /// A list of truth values, written as such or as 0 and 1; none where the key is absent.
    pub(crate) fn flags(&mut self, key: &str) -> Option<Vec<bool>> {
        self.read(key, "a list of 0 and 1", |value| {
            let flag = |value: &Value| {
                value.as_bool().or(match integer(value)? {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                })
            };
            value.as_array()?.iter().map(flag).collect()
        })
    }

    /// One of these words; none where the key is absent.
    pub(crate) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
        self.read(key, &names.join(" or "), |value| {
            let found = words.iter().find(|(name, _)| value == name)?;
            Some(found.1)
        })
    }

    /// Ids below `vocab_size`: the list of them, or the only one; none where the key is absent.
    pub(crate) fn ids(&mut self, key: &str, vocab_size: usize) -> Option<Vec<u32>> {
        let ids = self.read(key, "a token id, or a list of them", token_ids)?;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            self.refuse(key, format!("{id} is not below vocab_size {vocab_size}"));
        }
        Some(ids)
    }

    /// Whether the linear layers are stored as `llada quantize` stores them.
    pub(crate) fn is_quantized(&mut self) -> bool {
        let wanted = "the scheme of eight bits that this crate writes";
        self.read(quantize::CONFIG_KEY, wanted, |scheme| (*scheme == quantize::scheme()).then_some(())).is_some()
    }

    /// Judges every key that is left by `rules`.
    pub(crate) fn finish(&mut self, rules: &Rules) {
        for Fixed { key, value, absent } in &rules.fixed {
            match self.left.remove(*key) {
                Some(found) if is_same(&found, value) => {}
                Some(found) => self.refuse(key, format!("{found} is not supported, {} has {value}", rules.family)),
                None if absent == value => {}
                None => {
                    let message = format!(
                        "the key is missing, which {}'s configuration class reads as {absent}; it has to be {value}",
                        rules.family
                    );
                    self.refuse(key, message);
                }
            }
        }
        for (key, found) in std::mem::take(&mut self.left) {
            match judge(&key, &found, rules) {
                Judgement::Refused(message) => self.refuse(&key, message),
                Judgement::Unknown => {
                    let (message, advice) =
                        (format!("unknown key (value {found})"), "remove it if it does not change the model");
                    self.problems.push(ModelError::config_with_advice(&key, message, advice));
                }
                Judgement::WithoutEffect => self.without_effect.push(key),
            }
        }
        self.without_effect.sort_unstable();
    }
}

/// The effect on the model of a key that the config was not read from.
enum Judgement {
    WithoutEffect,
    /// The value could change the model, for this reason.
    Refused(String),
    /// The key is unknown.
    Unknown,
}

fn judge(key: &str, found: &Value, rules: &Rules) -> Judgement {
    if known::is_inert(key) || rules.inert.contains(&key) {
        return Judgement::WithoutEffect;
    }
    let refused = if let Some((_, value)) = rules.foreign.iter().find(|(foreign, _)| *foreign == key) {
        (!is_same(found, value)).then(|| format!("{found} is not supported, {} has {value}", rules.family))
    } else if let Some((_, name)) = rules.synonyms.iter().find(|(synonym, _)| *synonym == key) {
        let value = rules.own.get(*name).filter(|value| !is_same(found, value));
        value.map(|value| format!("{found} contradicts {name} {value}"))
    } else if matches!(key, "rope_scaling" | "rope_parameters") {
        let is_plain = known::is_plain_rope(found, rules.rope_theta, rules.rotary_factor);
        (!is_plain).then(|| format!("{found} is not supported, {} rotates by rope_theta alone", rules.family))
    } else {
        return Judgement::Unknown;
    };
    refused.map_or(Judgement::WithoutEffect, Judgement::Refused)
}

/// A token id, or a list of them.
pub(crate) fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let ids: Option<Vec<u32>> = ids.iter().map(|id| u32::try_from(integer(id)?).ok()).collect();
    ids.filter(|ids| !ids.is_empty())
}

/// 32, or 32.0.
fn integer(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=LARGEST_EXACT).contains(number))?;
        Some(number as u64)
    })
}

/// Equal as JSON, or as numbers.
fn is_same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b)
}
