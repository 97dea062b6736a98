//! Languages of byte strings, as trees of simpler ones.

use std::sync::Arc;

use super::{ByteDfa, nfa::Nfa};
use crate::{GrammarError, limits::Budget};

/// A set of byte strings.
#[derive(Clone, Debug)]
pub(crate) enum Language {
    /// One string.
    Text(Vec<u8>),
    /// The characters in these ranges, in UTF-8.
    Characters(Vec<(char, char)>),
    /// The strings that an automaton accepts.
    Dfa(Arc<ByteDfa>),
    /// The empty string, at the start of the text only.
    AtStart,
    /// The empty string, at the end of the text only.
    AtEnd,
    /// A string of each language, one after the other.
    Concat(Vec<Language>),
    /// The strings of all languages. Without languages there are none.
    Union(Vec<Language>),
    /// Between `min` and `max` strings of `item`, with a string of `separator` between any two.
    Repeat { item: Box<Language>, separator: Box<Language>, min: u32, max: Option<u32> },
    /// Strings of some of these languages, in this order, with a string of `separator` between any two.
    Chain { items: Vec<Item>, separator: Box<Language> },
    /// A language that is part of several others.
    Shared(Arc<Language>),
}

/// A link of a [`Language::Chain`].
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) language: Language,
    pub(crate) is_required: bool,
}

impl Language {
    /// The language without strings.
    pub(crate) fn never() -> Self {
        Self::Union(Vec::new())
    }

    pub(crate) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn optional(language: Self) -> Self {
        Self::Union(vec![Self::text(""), language])
    }

    pub(crate) fn repeat(item: Self, min: u32, max: Option<u32>) -> Self {
        Self::Repeat { item: Box::new(item), separator: Box::new(Self::text("")), min, max }
    }

    /// Returns the smallest automaton that accepts this language.
    pub(crate) fn compile(&self, budget: &Budget) -> Result<ByteDfa, GrammarError> {
        ByteDfa::determinise(&Nfa::new(self, budget)?, budget)?.minimise(budget)
    }
}
