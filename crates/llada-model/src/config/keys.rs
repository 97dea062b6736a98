//! The keys of one `config.json`: each is asked for once, and what is wrong with any of them is noted, not the first
//! alone.
//!
//! Null is absent. An integer may be written as 32 or as 32.0, which JSON does not tell apart; text is never a number,
//! nor a number text, as the published configuration class converts nothing either.

use serde_json::{Map, Value};

use super::known;
use crate::{ModelError, quantize};

/// Sizes beyond this are typing errors or attacks; below it no product of two of them overflows.
pub(super) const LARGEST: usize = 1 << 28;

/// The largest of the integers that 64-bit floats have without gaps.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// What is known of the keys so far.
pub(super) struct Keys {
    /// Those that nobody has asked for yet.
    left: Map<String, Value>,
    pub(super) problems: Vec<ModelError>,
    /// Keys that change nothing, as they are found.
    pub(super) without_effect: Vec<String>,
}

impl Keys {
    pub(super) fn new(keys: Map<String, Value>) -> Self {
        let (null, left): (Map<_, _>, Map<_, _>) = keys.into_iter().partition(|(_, value)| value.is_null());
        Self { left, problems: Vec::new(), without_effect: null.into_iter().map(|(key, _)| key).collect() }
    }

    /// Notes that the value of `key` cannot be honoured.
    pub(super) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(ModelError::config(key, message));
    }

    /// The value as `read` understands it; nothing, and a problem if it is there, where `read` does not.
    fn read<T>(&mut self, key: &str, wanted: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.left.remove(key)?;
        let found = read(&value);
        if found.is_none() {
            let quoted = value.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok());
            let hint = if quoted { "\nhint: write it without quotes" } else { "" };
            self.refuse(key, format!("{value} is not {wanted}{hint}"));
        }
        found
    }

    /// A size; none where the key is absent.
    pub(super) fn size(&mut self, key: &str) -> Option<usize> {
        let wanted = format!("an integer between 1 and {LARGEST}");
        self.read(key, &wanted, |value| {
            let size = usize::try_from(integer(value)?).ok()?;
            (1..=LARGEST).contains(&size).then_some(size)
        })
    }

    /// A positive number; none where the key is absent.
    pub(super) fn positive(&mut self, key: &str) -> Option<f64> {
        self.read(key, "a positive number", |value| value.as_f64().filter(|number| number.is_finite() && *number > 0.0))
    }

    /// A truth value; none where the key is absent.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// Ids below `vocab_size`: the list of them, or the only one. The key has to be there.
    pub(super) fn ids(&mut self, key: &str, vocab_size: usize) -> Vec<u32> {
        if !self.left.contains_key(key) {
            self.refuse(key, "the key is missing");
            return Vec::new();
        }
        let read = |value: &Value| {
            let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            let ids: Option<Vec<u32>> = ids.iter().map(|id| u32::try_from(integer(id)?).ok()).collect();
            ids.filter(|ids| !ids.is_empty())
        };
        let ids = self.read(key, "a token id, or a list of them", read).unwrap_or_default();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            self.refuse(key, format!("{id} is not below vocab_size {vocab_size}"));
        }
        ids
    }

    /// Whether the linear layers are stored as `llada quantize` stores them.
    pub(super) fn is_quantized(&mut self) -> bool {
        let wanted = "the scheme of eight bits that `llada quantize` writes";
        self.read(quantize::CONFIG_KEY, wanted, |scheme| (*scheme == quantize::scheme()).then_some(())).is_some()
    }

    /// Checks what is left against what is true of the model: `own` are the keys that it was read from.
    pub(super) fn finish(&mut self, own: &Map<String, Value>, include_bias: bool, rope_theta: f64) {
        for known::Fixed { key, value, absent } in known::fixed(include_bias) {
            match self.left.remove(key) {
                Some(found) if is_same(&found, &value) => {}
                Some(found) => self.refuse(key, format!("{found} is not supported, LLaDA has {value}")),
                None if absent == value => {}
                None => {
                    let message = format!(
                        "the key is missing, which LLaDA's configuration class reads as {absent}; it has to be {value}"
                    );
                    self.refuse(key, message);
                }
            }
        }
        for (key, found) in std::mem::take(&mut self.left) {
            match self.judge(&key, &found, own, rope_theta) {
                Some(message) => self.refuse(&key, message),
                None => self.without_effect.push(key),
            }
        }
        self.without_effect.sort_unstable();
    }

    /// Why the value of a key that is not LLaDA's could change the model, if it could.
    fn judge(&self, key: &str, found: &Value, own: &Map<String, Value>, rope_theta: f64) -> Option<String> {
        if known::is_inert(key) {
            return None;
        }
        if let Some((_, value)) = known::foreign().into_iter().find(|(foreign, _)| *foreign == key) {
            return (!is_same(found, &value)).then(|| format!("{found} is not supported, LLaDA has {value}"));
        }
        if let Some((_, name)) = known::SYNONYMS.iter().find(|(synonym, _)| *synonym == key) {
            let value = own.get(*name)?;
            return (!is_same(found, value)).then(|| format!("{found} contradicts {name} {value}"));
        }
        if matches!(key, "rope_scaling" | "rope_parameters") {
            let is_plain = known::is_plain_rope(found, rope_theta);
            return (!is_plain).then(|| format!("{found} is not supported, LLaDA rotates by rope_theta alone"));
        }
        Some(format!("unknown key (value {found})\nhint: remove it if it does not change the model"))
    }
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
