//! Whether two schemas allow no value in common. `oneOf` asks for values that exactly one schema allows; they are those that
//! any schema allows if no two schemas share one.

use super::{Compiler, Json, Keywords, has_type};
use crate::GrammarError;

/// How many pairs of schemas are looked at for one `oneOf`.
const PAIRS: usize = 10_000;

/// The types; an integer is a number.
const KINDS: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

impl<'a> Compiler<'a> {
    /// Refuses options of which two may share a value.
    pub(super) fn check_disjoint(&self, keywords: &Keywords<'a, '_>, options: &'a [Json]) -> Result<(), GrammarError> {
        let mut left = PAIRS;
        for (second, option) in options.iter().enumerate() {
            if let Some(first) = options[..second].iter().position(|other| !self.are_disjoint(other, option, &mut left))
            {
                let reason = format!("options {first} and {second} may share a value; anyOf allows that");
                return Err(keywords.invalid("oneOf", reason));
            }
        }
        Ok(())
    }

    /// Returns true if it is certain that two schemas share no value.
    fn are_disjoint(&self, first: &'a Json, second: &'a Json, left: &mut usize) -> bool {
        let Some(fewer) = left.checked_sub(1) else { return false };
        *left = fewer;
        let (Some(first), Some(second)) = (self.resolved(first), self.resolved(second)) else { return false };
        if let Some(options) = alternatives(first) {
            return options.iter().all(|option| self.are_disjoint(option, second, left));
        }
        if let Some(options) = alternatives(second) {
            return options.iter().all(|option| self.are_disjoint(first, option, left));
        }
        let (kinds, other_kinds) = (kinds(first), kinds(second));
        let shared: Vec<_> = kinds.iter().filter(|kind| other_kinds.contains(kind)).collect();
        let has_no_common_value = match (values(first), values(second)) {
            (Some(values), Some(others)) => !values.iter().any(|value| others.iter().any(|other| same(value, other))),
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => shared == [&"object"] && self.are_told_apart(first, second, left),
        };
        shared.is_empty() || has_no_common_value
    }

    /// Returns true if one object has to have a key that the other cannot have, or with another value.
    fn are_told_apart(&self, first: &'a Json, second: &'a Json, left: &mut usize) -> bool {
        let property = |schema: &'a Json, name: &str| schema.get("properties").and_then(|all| all.get(name));
        let has_to_have = |schema, other: &'a Json| {
            required(schema).iter().any(|name| {
                other.get("additionalProperties") == Some(&Json::Bool(false)) && property(other, name).is_none()
            })
        };
        if has_to_have(first, second) || has_to_have(second, first) {
            return true;
        }
        required(first).iter().filter(|name| required(second).contains(name)).any(|name| {
            match (property(first, name), property(second, name)) {
                (Some(value), Some(other)) => self.are_disjoint(value, other, left),
                _ => false,
            }
        })
    }
}

/// Returns the options of a union.
fn alternatives(schema: &Json) -> Option<&[Json]> {
    match schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        Some(Json::Array(options)) => Some(options),
        _ => None,
    }
}

/// Returns the values of an enumeration.
fn values(schema: &Json) -> Option<&[Json]> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(std::slice::from_ref(value)),
        (None, Some(Json::Array(values))) => Some(values),
        _ => None,
    }
}

/// Returns the types that values of a schema may have.
fn kinds(schema: &Json) -> Vec<&'static str> {
    let is_possible = |kind: &&str| {
        let is_named =
            |name: &Json| name.as_str().is_some_and(|name| name == *kind || (name, *kind) == ("integer", "number"));
        match (values(schema), schema.get("type")) {
            (Some(values), _) => values.iter().any(|value| has_type(value, kind)),
            (None, Some(Json::Array(names))) => names.iter().any(is_named),
            (None, Some(name)) => is_named(name),
            (None, None) => true,
        }
    };
    KINDS.into_iter().filter(is_possible).collect()
}

fn required(schema: &Json) -> Vec<&str> {
    match schema.get("required") {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Returns true if two values may be equal, where 1 and 1.0 are.
fn same(first: &Json, second: &Json) -> bool {
    match (first, second) {
        (Json::Number(first), Json::Number(second)) => first.as_f64() == second.as_f64(),
        (Json::Array(first), Json::Array(second)) => {
            first.len() == second.len() && first.iter().zip(second).all(|(item, other)| same(item, other))
        }
        (Json::Object(entries), Json::Object(others)) => {
            let is_shared = |(name, value): &(String, Json)| second.get(name).is_some_and(|other| same(value, other));
            entries.len() == others.len() && entries.iter().all(is_shared)
        }
        _ => first == second,
    }
}
