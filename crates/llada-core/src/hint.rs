//! What would help after an error, as data: a command line renders it as flags, a server as keys.

use std::fmt;

/// A remedy for an error.
///
/// Its [`Display`](fmt::Display) speaks of options by their names, as configurations do:
/// `block_length 16 or block_length 32`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// An option at one of these values.
    Set {
        /// The option, as the configuration spells it.
        option: &'static str,
        /// The values that would work, the nearest ones; at least one.
        values: Vec<String>,
        /// What else may be said of them, or instead.
        remark: Option<&'static str>,
    },
    /// One of these names.
    OneOf(Vec<String>),
    /// Anything else, in words.
    Advice(String),
}

impl Hint {
    /// An option at one of `values`.
    pub fn set<T: ToString>(option: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        Self::Set { option, values: values.into_iter().map(|value| value.to_string()).collect(), remark: None }
    }

    /// The same with a remark after it.
    pub fn set_with<T: ToString>(option: &'static str, value: T, remark: &'static str) -> Self {
        Self::Set { option, values: vec![value.to_string()], remark: Some(remark) }
    }

    /// One of `names`.
    pub fn one_of(names: &[&str]) -> Self {
        Self::OneOf(names.iter().map(|&name| name.to_owned()).collect())
    }

    /// Writes the hint, each option and value as `setting` puts them.
    pub fn render(&self, setting: impl Fn(&str, &str) -> String) -> String {
        match self {
            Self::Set { option, values, remark } => {
                let settings: Vec<String> = values.iter().map(|value| setting(option, value)).collect();
                settings.join(" or ") + remark.unwrap_or_default()
            }
            Self::OneOf(names) => match names.split_last() {
                Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
                _ => names.concat(),
            },
            Self::Advice(words) => words.clone(),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(|option, value| format!("{option} {value}")))
    }
}
