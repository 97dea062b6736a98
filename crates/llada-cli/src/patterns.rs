//! The patterns of a request: that of its answer, and those of the runs of masks in its prompt.

use std::{collections::BTreeMap, sync::Arc};

use llada::{Json, JsonOptions, Model, Pattern, Request, TokenDfa, Whitespace};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

/// What an answer or a run of masks may be: at most one of the first four keys.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct PatternKeys {
    pub(crate) regex: Option<String>,
    pub(crate) choice: Option<Vec<String>>,
    pub(crate) json_schema: Option<Json>,
    pub(crate) json_object: Option<bool>,
    pub(crate) json_whitespace: Option<Whitespace>,
    pub(crate) json_max_depth: Option<usize>,
    /// Keys that describe no pattern.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, IgnoredAny>,
}

/// The pattern of a run of masks: a regular expression, or an object with the keys of an answer's pattern.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a hole is null, a regular expression, or an object with the keys of a pattern")]
enum HoleKeys {
    Regex(String),
    Any(PatternKeys),
}

/// The keys of a request in which patterns are described.
#[derive(Debug, Deserialize)]
struct RequestKeys {
    #[serde(flatten)]
    answer: PatternKeys,
    holes: Option<Vec<Option<HoleKeys>>>,
}

/// The patterns of a request.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    pub(crate) answer: Option<Pattern>,
    pub(crate) holes: Vec<Option<Pattern>>,
}

impl PatternKeys {
    const NAMES: [&str; 6] = ["regex", "choice", "json_schema", "json_object", "json_whitespace", "json_max_depth"];

    /// Returns the pattern that is described, if one is.
    pub(crate) fn pattern(self) -> Result<Option<Pattern>, String> {
        let Self { regex, choice, json_schema, json_object, json_whitespace, json_max_depth, .. } = self;
        let has_json_options = json_whitespace.is_some() || json_max_depth.is_some();
        let defaults = JsonOptions::default();
        let options = JsonOptions {
            whitespace: json_whitespace.unwrap_or(defaults.whitespace),
            max_depth: json_max_depth.unwrap_or(defaults.max_depth),
        };
        let json_object = json_object.filter(|&is_asked| is_asked).map(|_| Pattern::JsonObject(options));
        let json_schema = json_schema.map(|schema| Pattern::JsonSchema { schema, options });
        if has_json_options && json_schema.is_none() && json_object.is_none() {
            return Err("json_whitespace and json_max_depth go with json_schema and json_object".to_owned());
        }
        let patterns = [regex.map(Pattern::Regex), choice.map(Pattern::Choice), json_schema, json_object];
        let mut patterns = patterns.into_iter().flatten();
        match (patterns.next(), patterns.next()) {
            (pattern, None) => Ok(pattern),
            _ => Err("an answer has one pattern: one of regex, choice, json_schema and json_object".to_owned()),
        }
    }
}

impl Patterns {
    /// Reads the patterns of a request from its text, which has properties in their order, and removes their keys from
    /// `keys`.
    pub(crate) fn take(keys: &mut Map<String, Value>, text: &str) -> Result<Self, String> {
        let mut has_patterns = false;
        for name in PatternKeys::NAMES.iter().chain(&["holes"]) {
            has_patterns |= keys.remove(*name).is_some();
        }
        if !has_patterns {
            return Ok(Self::default());
        }
        let RequestKeys { answer, holes } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let pattern = |hole: Option<HoleKeys>| match hole {
            None => Ok(None),
            Some(HoleKeys::Regex(regex)) => Ok(Some(Pattern::Regex(regex))),
            Some(HoleKeys::Any(keys)) => match keys.others.keys().next() {
                Some(key) => Err(format!("a hole has no key {key}; it has one of {}", PatternKeys::NAMES.join(", "))),
                None => keys.pattern(),
            },
        };
        let holes = holes.unwrap_or_default().into_iter().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { answer: answer.pattern()?, holes })
    }

    /// Constrains a request to the patterns.
    ///
    /// # Errors
    /// As [`Model::compile`].
    pub(crate) fn constrain(&self, model: &Model, mut request: Request) -> Result<Request, llada::Error> {
        let compile = |pattern: &Pattern| -> Result<Arc<TokenDfa>, llada::Error> { model.compile(pattern) };
        if let Some(pattern) = &self.answer {
            request = request.with_constraint(compile(pattern)?);
        }
        let holes = self.holes.iter().map(|hole| hole.as_ref().map(compile).transpose());
        Ok(request.with_hole_constraints(holes.collect::<Result<_, _>>()?))
    }
}
