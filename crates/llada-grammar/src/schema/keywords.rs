//! The keywords of a schema, and their values.

use super::{Json, decimal::Decimal, number::Bound};
use crate::GrammarError;

/// Keywords that do not constrain anything.
const ANNOTATIONS: [&str; 13] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "example",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// Keywords that describe a schema alone.
const FORMS: [&str; 5] = ["$ref", "const", "enum", "anyOf", "oneOf"];

/// Types with the keywords that apply to their values.
const OBJECT: (&str, &[&str]) = ("object", &["properties", "required", "additionalProperties"]);
const ARRAY: (&str, &[&str]) = ("array", &["items", "prefixItems", "minItems", "maxItems"]);
const STRING: (&str, &[&str]) = ("string", &["minLength", "maxLength", "pattern", "format"]);
const NUMBER: (&str, &[&str]) =
    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]);

/// The names of types.
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// A schema that is an object, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keywords<'a, 'p> {
    schema: &'a Json,
    pub(super) pointer: &'p str,
}

impl<'a, 'p> Keywords<'a, 'p> {
    /// Checks that all keywords are known and that they may stand beside each other.
    pub(super) fn new(schema: &'a Json, pointer: &'p str) -> Result<Self, GrammarError> {
        let Json::Object(entries) = schema else {
            return Err(invalid(pointer, "it is neither an object nor a boolean"));
        };
        let keywords = Self { schema, pointer };
        let form = keywords.form();
        for (key, _) in entries.iter().filter(|(key, _)| !ANNOTATIONS.contains(&key.as_str())) {
            let key = key.as_str();
            let is_typed = [OBJECT, ARRAY, STRING, NUMBER].iter().any(|(_, keywords)| keywords.contains(&key));
            let because = match form {
                _ if !is_typed && key != "type" && !FORMS.contains(&key) => None,
                Some("const" | "enum") if key == "type" => continue,
                Some(form) if key != form => Some("beside $ref, const, enum, anyOf and oneOf only annotations are"),
                _ => continue,
            };
            return Err(GrammarError::Unsupported { pointer: keywords.at(key), because });
        }
        Ok(keywords)
    }

    /// Returns the keyword that describes the schema alone.
    pub(super) fn form(&self) -> Option<&'static str> {
        FORMS.into_iter().find(|form| self.get(form).is_some())
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Json> {
        self.schema.get(key)
    }

    /// Returns the pointer of a keyword.
    pub(super) fn at(&self, key: &str) -> String {
        join(self.pointer, key)
    }

    pub(super) fn invalid(&self, key: &str, reason: impl Into<String>) -> GrammarError {
        invalid(&self.at(key), reason)
    }

    /// Returns the types that `type` names; if it is missing, those that the other keywords speak of, if any.
    pub(super) fn types(&self) -> Result<Vec<&'a str>, GrammarError> {
        let types = match self.get("type") {
            None => {
                let has_any = |keywords: &[&str]| keywords.iter().any(|key| self.get(key).is_some());
                let implied = [OBJECT, ARRAY, STRING, NUMBER].into_iter().filter(|(_, keywords)| has_any(keywords));
                return Ok(implied.map(|(name, _)| name).collect());
            }
            Some(Json::Array(types)) => types.iter().map(Json::as_str).collect(),
            Some(name) => name.as_str().map(|name| vec![name]),
        };
        let types = types.filter(|types| !types.is_empty() && types.iter().all(|name| TYPES.contains(name)));
        types.ok_or_else(|| self.invalid("type", format!("it has to be of {}", TYPES.join(", "))))
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Json], GrammarError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Json::Array(items)) => Ok(items),
            Some(_) => Err(self.invalid(key, "it is not an array")),
        }
    }

    /// Returns a list that may not be empty.
    pub(super) fn options(&self, key: &str) -> Result<&'a [Json], GrammarError> {
        match self.list(key)? {
            [] => Err(self.invalid(key, "it is empty")),
            options => Ok(options),
        }
    }

    pub(super) fn entries(&self, key: &str) -> Result<&'a [(String, Json)], GrammarError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Json::Object(entries)) => Ok(entries),
            Some(_) => Err(self.invalid(key, "it is not an object")),
        }
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'a str>, GrammarError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| self.invalid(key, "it is not a string")),
        }
    }

    /// Returns two counts, of which the first may not exceed the second.
    pub(super) fn counts(&self, least: &str, most: &str) -> Result<(u32, Option<u32>), GrammarError> {
        let (min, max) = (self.count(least)?.unwrap_or(0), self.count(most)?);
        if max.is_some_and(|max| min > max) {
            return Err(self.invalid(least, format!("it exceeds {most}")));
        }
        Ok((min, max))
    }

    fn count(&self, key: &str) -> Result<Option<u32>, GrammarError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let count = match value {
            Json::Number(number) => number.as_u64().and_then(|count| u32::try_from(count).ok()),
            _ => None,
        };
        count.map(Some).ok_or_else(|| self.invalid(key, format!("it is not an integer from 0 to {}", u32::MAX)))
    }

    /// Returns the stricter one of `minimum` and `exclusiveMinimum`.
    pub(super) fn lowest(&self) -> Result<Option<Bound>, GrammarError> {
        let bounds = self.bounds("minimum", "exclusiveMinimum")?.into_iter();
        Ok(bounds
            .max_by(|first, second| first.value.cmp(&second.value).then(first.is_exclusive.cmp(&second.is_exclusive))))
    }

    /// Returns the stricter one of `maximum` and `exclusiveMaximum`.
    pub(super) fn highest(&self) -> Result<Option<Bound>, GrammarError> {
        let bounds = self.bounds("maximum", "exclusiveMaximum")?.into_iter();
        Ok(bounds
            .min_by(|first, second| first.value.cmp(&second.value).then(second.is_exclusive.cmp(&first.is_exclusive))))
    }

    fn bounds(&self, inclusive: &str, exclusive: &str) -> Result<Vec<Bound>, GrammarError> {
        let mut bounds = Vec::new();
        for (key, is_exclusive) in [(inclusive, false), (exclusive, true)] {
            if let Some(value) = self.get(key) {
                let Json::Number(number) = value else { return Err(self.invalid(key, "it is not a number")) };
                let value = Decimal::new(number)
                    .ok_or_else(|| self.invalid(key, "it has more than 40 digits before or after the point"))?;
                bounds.push(Bound { value, is_exclusive });
            }
        }
        Ok(bounds)
    }
}

pub(super) fn invalid(pointer: &str, reason: impl Into<String>) -> GrammarError {
    let pointer = if pointer.is_empty() { "root".to_owned() } else { pointer.to_owned() };
    GrammarError::Schema { pointer, reason: reason.into() }
}

/// Returns the JSON pointer of a member.
pub(super) fn join(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}
