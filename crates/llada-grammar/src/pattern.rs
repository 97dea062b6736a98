//! Patterns: what texts are allowed.

use llada_core::automaton::TokenDfa;
use serde_json::Value;

use crate::{
    GrammarError, Json, JsonOptions, Limits, Vocabulary,
    bytes::Language,
    compile::compile,
    limits::Budget,
    regex::{self, Writing},
    schema,
};

/// A description of the texts that are allowed, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pattern {
    /// The texts that a regular expression matches as a whole. The syntax is that of the `regex` crate; anchors are
    /// supported at the ends of the text, and word boundaries are not.
    Regex(String),
    /// One of these texts. A text that occurs twice counts once.
    Choice(Vec<String>),
    /// The values that a JSON schema allows.
    JsonSchema {
        /// The schema.
        schema: Json,
        /// How the values are written.
        options: JsonOptions,
    },
    /// Any JSON object.
    JsonObject(JsonOptions),
}

impl Pattern {
    /// Allows the texts that a regular expression matches as a whole.
    pub fn regex(expression: impl Into<String>) -> Self {
        Self::Regex(expression.into())
    }

    /// Allows one of these texts.
    pub fn choice<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Choice(texts.into_iter().map(Into::into).collect())
    }

    /// Allows the values of a JSON schema in the default layout, with properties in the order in which `serde_json` iterates
    /// over them; it sorts them by name unless its feature `preserve_order` is on. [`Json`] keeps the order of a text.
    pub fn json_schema(schema: &Value) -> Self {
        Self::JsonSchema { schema: Json::from(schema), options: JsonOptions::default() }
    }

    /// Allows any JSON object in the default layout.
    pub fn json_object() -> Self {
        Self::JsonObject(JsonOptions::default())
    }

    /// Returns the automaton over the tokens of a vocabulary that accepts the allowed texts, each in every spelling that the
    /// vocabulary has for it.
    ///
    /// # Errors
    /// If the pattern is invalid or has parts that are not supported, if no text is allowed, if the vocabulary cannot write
    /// any of them, or if a limit is reached.
    pub fn compile(&self, vocabulary: &Vocabulary, limits: &Limits) -> Result<TokenDfa, GrammarError> {
        let budget = Budget::new(*limits);
        compile(&self.language(&budget)?.compile(&budget)?, vocabulary, &budget)
    }

    fn language(&self, budget: &Budget) -> Result<Language, GrammarError> {
        match self {
            Self::Regex(expression) => regex::parse(expression, Writing::Plain),
            Self::Choice(texts) => {
                Ok(Language::Union(texts.iter().map(|text| Language::text(text.as_str())).collect()))
            }
            Self::JsonSchema { schema, options } => schema::compile(schema, *options, budget),
            Self::JsonObject(options) => schema::any_object(*options),
        }
    }
}
