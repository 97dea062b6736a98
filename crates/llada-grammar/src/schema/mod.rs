//! JSON schemas: the texts of the values that a schema allows (JSON Schema 2020-12, a subset).

mod decimal;
mod disjoint;
mod ecma;
mod format;
mod json;
mod keywords;
mod layout;
mod number;
mod reference;
mod types;

use std::collections::HashMap;

use llada_core::CoreError;
use serde::{Deserialize, Serialize};

pub use self::{json::Json, layout::Whitespace};
use self::{
    keywords::{Keywords, invalid, join},
    layout::Layout,
};
use crate::{GrammarError, bytes::Language, limits::Budget};

/// The largest [`JsonOptions::max_depth`].
const LARGEST_DEPTH: usize = 32;

/// How deeply schemas may be nested, with references replaced by what they refer to.
const NESTING: usize = 100;

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonOptions {
    /// The whitespace.
    pub whitespace: Whitespace,
    /// How often a definition may be open at once where it refers to itself, and how deeply arrays and objects are nested
    /// where a schema allows any value. At least 1 and at most 32.
    pub max_depth: usize,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self { whitespace: Whitespace::default(), max_depth: 3 }
    }
}

impl JsonOptions {
    fn validate(&self) -> Result<(), CoreError> {
        match self.max_depth {
            0 => Err(CoreError::Zero { name: "max_depth" }),
            1..=LARGEST_DEPTH => Ok(()),
            found => Err(CoreError::TooLarge { name: "max_depth", found, largest: LARGEST_DEPTH }),
        }
    }
}

/// Returns the texts of all objects.
pub(crate) fn any_object(options: JsonOptions) -> Result<Language, GrammarError> {
    options.validate()?;
    let layout = Layout::new(options.whitespace);
    Ok(layout.map_of(layout.any_value(options.max_depth - 1)?))
}

/// Returns the texts of the values that a schema allows.
pub(crate) fn compile(schema: &Json, options: JsonOptions, budget: &Budget) -> Result<Language, GrammarError> {
    options.validate()?;
    let layout = Layout::new(options.whitespace);
    let any_value = layout.any_value(options.max_depth)?;
    let open = HashMap::from([(String::new(), 1)]);
    let mut compiler = Compiler { root: schema, options, layout, any_value, budget, open, nesting: 0, visited: 0 };
    compiler.schema(schema, "")
}

/// The compilation of a schema.
struct Compiler<'a> {
    root: &'a Json,
    options: JsonOptions,
    layout: Layout,
    any_value: Language,
    budget: &'a Budget,
    /// How often each definition, by its pointer, is open.
    open: HashMap<String, usize>,
    nesting: usize,
    visited: usize,
}

impl<'a> Compiler<'a> {
    fn schema(&mut self, schema: &'a Json, pointer: &str) -> Result<Language, GrammarError> {
        // A schema makes a few hundred bytes of languages and more of automata.
        self.visited += 1;
        self.budget.check_bytes(256 * self.visited)?;
        self.budget.check_time()?;
        if self.nesting == NESTING {
            return Err(invalid(pointer, format!("schemas are nested more deeply than {NESTING}")));
        }
        self.nesting += 1;
        let language = match schema {
            Json::Bool(true) => Ok(self.any_value.clone()),
            Json::Bool(false) => Ok(Language::never()),
            _ => self.keywords(&Keywords::new(schema, pointer)?),
        };
        self.nesting -= 1;
        language
    }

    fn keywords(&mut self, keywords: &Keywords<'a, '_>) -> Result<Language, GrammarError> {
        match keywords.form() {
            Some("$ref") => self.reference(keywords),
            Some("const") => self.values(keywords, "const", keywords.get("const").as_slice()),
            Some("enum") => {
                let values: Vec<&Json> = keywords.options("enum")?.iter().collect();
                self.values(keywords, "enum", &values)
            }
            Some(form) => {
                let options = keywords.options(form)?;
                if form == "oneOf" {
                    self.check_disjoint(keywords, options)?;
                }
                let pointer = keywords.at(form);
                let languages =
                    (0..).zip(options).map(|(index, option)| self.schema(option, &format!("{pointer}/{index}")));
                Ok(Language::Union(languages.collect::<Result<_, _>>()?))
            }
            None => self.typed(keywords),
        }
    }

    /// Returns the values of a list that have the schema's type.
    fn values(&self, keywords: &Keywords<'_, '_>, key: &str, values: &[&Json]) -> Result<Language, GrammarError> {
        let types = keywords.types()?;
        let kept = values.iter().filter(|value| types.is_empty() || types.iter().any(|name| has_type(value, name)));
        let languages: Vec<Language> = kept.map(|value| self.layout.value(value)).collect();
        if languages.is_empty() {
            return Err(keywords.invalid(key, "no value has the type"));
        }
        Ok(Language::Union(languages))
    }
}

/// Returns true if a value has a type.
fn has_type(value: &Json, name: &str) -> bool {
    match value {
        Json::Null => name == "null",
        Json::Bool(_) => name == "boolean",
        Json::Number(number) => {
            name == "number" || name == "integer" && number.as_f64().is_some_and(|x| x.fract() == 0.0)
        }
        Json::String(_) => name == "string",
        Json::Array(_) => name == "array",
        Json::Object(_) => name == "object",
    }
}
