//! Remedies for errors, as data: a command line renders them as flags, a server as keys.

use std::fmt;

/// A remedy for an error.
///
/// The [`Display`](fmt::Display) form spells options as configurations do: `block_length 16 or
/// block_length 32`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Set an option to one of these values.
    Set {
        /// The name of the option, as the configuration spells it.
        option: &'static str,
        /// The nearest values that would work; at least one.
        values: Vec<String>,
        /// Text that follows the values.
        remark: Option<&'static str>,
    },
    /// Use one of these names.
    OneOf(Vec<String>),
    /// Any other remedy, in words.
    Advice(String),
}

impl Hint {
    /// Advises to set `option` to one of `values`.
    pub fn set<T: ToString>(option: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        Self::Set { option, values: values.into_iter().map(|value| value.to_string()).collect(), remark: None }
    }

    /// Advises to set `option` to `value`, followed by `remark`.
    pub fn set_with<T: ToString>(option: &'static str, value: T, remark: &'static str) -> Self {
        Self::Set { option, values: vec![value.to_string()], remark: Some(remark) }
    }

    /// Advises to use one of `names`.
    pub fn one_of(names: &[&str]) -> Self {
        Self::OneOf(names.iter().map(|&name| name.to_owned()).collect())
    }

    /// Renders the hint as text; `setting` renders an option and its value.
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
