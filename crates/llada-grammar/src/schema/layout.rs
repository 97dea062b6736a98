//! Where whitespace stands in JSON, and values written with it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Json, number::NUMBER};
use crate::{
    GrammarError,
    bytes::{Item, Language},
    regex::{Writing, parse},
    text,
};

/// The whitespace of JSON texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whitespace {
    /// One space after each comma and colon, and none elsewhere, as Python's `json` writes.
    #[default]
    Canonical,
    /// None.
    Compact,
    /// Any amount wherever JSON allows it between the first and the last character.
    Any,
}

/// How arrays and objects are written.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) comma: Language,
    pub(super) colon: Language,
    /// What follows an opening bracket and what precedes a closing one.
    padding: Language,
}

impl Layout {
    pub(super) fn new(whitespace: Whitespace) -> Self {
        let spaces = [('\t', '\n'), ('\r', '\r'), (' ', ' ')];
        let padding = match whitespace {
            Whitespace::Canonical | Whitespace::Compact => Language::text(""),
            Whitespace::Any => Language::repeat(Language::Characters(spaces.to_vec()), 0, None),
        };
        let mark = |mark: &str| match whitespace {
            Whitespace::Canonical => Language::text(format!("{mark} ")),
            Whitespace::Compact => Language::text(mark),
            Whitespace::Any => Language::Concat(vec![padding.clone(), Language::text(mark), padding.clone()]),
        };
        Self { comma: mark(","), colon: mark(":"), padding }
    }

    pub(super) fn array(&self, content: Language) -> Language {
        self.bracketed("[", content, "]")
    }

    pub(super) fn object(&self, content: Language) -> Language {
        self.bracketed("{", content, "}")
    }

    fn bracketed(&self, open: &str, content: Language, close: &str) -> Language {
        let padding = || self.padding.clone();
        Language::Concat(vec![Language::text(open), padding(), content, padding(), Language::text(close)])
    }

    /// Returns a key with its value.
    pub(super) fn property(&self, name: Language, value: Language) -> Language {
        Language::Concat(vec![name, self.colon.clone(), value])
    }

    /// Returns these languages one after the other, with commas.
    pub(super) fn chain(&self, items: Vec<Item>) -> Language {
        Language::Chain { items, separator: Box::new(self.comma.clone()) }
    }

    pub(super) fn list(&self, item: Language, min: u32, max: Option<u32>) -> Language {
        Language::Repeat { item: Box::new(item), separator: Box::new(self.comma.clone()), min, max }
    }

    /// Returns the one way in which a value is written.
    pub(super) fn value(&self, value: &Json) -> Language {
        let required = |language| Item { language, is_required: true };
        match value {
            Json::Null => Language::text("null"),
            Json::Bool(value) => Language::text(value.to_string()),
            Json::Number(number) => Language::text(number.to_string()),
            Json::String(string) => Language::text(text::quote(string)),
            Json::Array(items) => self.array(self.chain(items.iter().map(|item| required(self.value(item))).collect())),
            Json::Object(entries) => {
                let property = |(name, value): &(String, Json)| {
                    required(self.property(Language::text(text::quote(name)), self.value(value)))
                };
                self.object(self.chain(entries.iter().map(property).collect()))
            }
        }
    }

    /// Returns any value whose arrays and objects are nested at most so deeply.
    pub(super) fn any_value(&self, depth: usize) -> Result<Language, GrammarError> {
        let words = ["null", "true", "false"].map(Language::text);
        let scalars = [words.to_vec(), vec![parse(NUMBER, Writing::Plain)?, text::any_string()]].concat();
        let scalars = Language::Shared(Arc::new(Language::Union(scalars)));
        let mut value = scalars.clone();
        for _ in 0..depth {
            let inner = Language::Shared(Arc::new(value));
            value = Language::Union(vec![scalars.clone(), self.any_array(inner.clone()), self.map_of(inner)]);
        }
        Ok(value)
    }

    fn any_array(&self, item: Language) -> Language {
        self.array(self.list(item, 0, None))
    }

    /// Returns any object whose values are of a language.
    pub(super) fn map_of(&self, value: Language) -> Language {
        self.object(self.list(self.property(text::any_string(), value), 0, None))
    }
}
