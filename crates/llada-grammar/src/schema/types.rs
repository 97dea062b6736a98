//! Schemas with a type: what the keywords of each type allow.

use super::{
    Compiler, Json, Keywords, ecma, format, invalid, join,
    number::{INTEGER, LARGEST_DIVISOR, NUMBER, between, integers},
};
use crate::{
    GrammarError,
    bytes::{ByteDfa, Item, Language},
    regex::{Writing, parse},
    text,
};

impl<'a> Compiler<'a> {
    /// Returns the values of the types that a schema names or speaks of, or any value.
    pub(super) fn typed(&mut self, keywords: &Keywords<'a, '_>) -> Result<Language, GrammarError> {
        let types = keywords.types()?;
        if types.is_empty() {
            return Ok(self.any_value.clone());
        }
        let mut languages = Vec::new();
        for name in types {
            languages.push(match name {
                "null" => Language::text("null"),
                "boolean" => Language::Union(vec![Language::text("true"), Language::text("false")]),
                "integer" => self.number(keywords, true)?,
                "number" => self.number(keywords, false)?,
                "string" => self.string(keywords)?,
                "array" => self.array(keywords)?,
                _ => self.object(keywords)?,
            });
        }
        Ok(Language::Union(languages))
    }

    /// Returns the objects whose properties are in the schema's order. Of properties that the schema does not list they
    /// have those that it requires, and no others unless it lists none at all.
    fn object(&mut self, keywords: &Keywords<'a, '_>) -> Result<Language, GrammarError> {
        let properties = keywords.entries("properties")?;
        let required = keywords.list("required")?.iter().map(Json::as_str).collect::<Option<Vec<_>>>();
        let required = required.ok_or_else(|| keywords.invalid("required", "it is not a list of names"))?;
        let additional = keywords.get("additionalProperties").unwrap_or(&Json::Bool(true));
        if properties.is_empty() && required.is_empty() {
            let value = match additional {
                // The object itself is a level of the depth.
                Json::Bool(true) => self.layout.any_value(self.options.max_depth - 1)?,
                schema => self.schema(schema, &keywords.at("additionalProperties"))?,
            };
            return Ok(self.layout.map_of(value));
        }
        if !matches!(additional, Json::Bool(_)) {
            let because = Some("beside properties or required it has to be true or false");
            return Err(GrammarError::Unsupported { pointer: keywords.at("additionalProperties"), because });
        }
        let mut items = Vec::new();
        for (name, schema) in properties {
            let value = self.schema(schema, &join(&keywords.at("properties"), name))?;
            items.push(self.item(name, value, required.contains(&name.as_str())));
        }
        for (index, name) in required.iter().enumerate() {
            if properties.iter().any(|(known, _)| known == name) || required[..index].contains(name) {
                continue;
            }
            if additional == &Json::Bool(false) {
                return Err(keywords.invalid("required", format!("additionalProperties forbids {name:?}")));
            }
            items.push(self.item(name, self.any_value.clone(), true));
        }
        Ok(self.layout.object(self.layout.chain(items)))
    }

    fn item(&self, name: &str, value: Language, is_required: bool) -> Item {
        Item { language: self.layout.property(Language::text(text::quote(name)), value), is_required }
    }

    /// Returns the arrays that begin with items of `prefixItems` and go on with those of `items`. If `items` is missing,
    /// they go on with any values as far as `minItems` demands it, or if there is no `prefixItems`.
    fn array(&mut self, keywords: &Keywords<'a, '_>) -> Result<Language, GrammarError> {
        let (min, max) = keywords.counts("minItems", "maxItems")?;
        let prefix = keywords.list("prefixItems")?;
        let length = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
        let rest = match keywords.get("items") {
            Some(schema) => self.schema(schema, &keywords.at("items"))?,
            None if prefix.is_empty() || min > length => self.any_value.clone(),
            None => Language::never(),
        };
        if prefix.is_empty() {
            return Ok(self.layout.array(self.layout.list(rest, min, max)));
        }
        let mut content = Language::text("");
        if max.is_none_or(|max| max > length) {
            let item = Language::Concat(vec![self.layout.comma.clone(), rest]);
            content = Language::repeat(item, min.saturating_sub(length), max.map(|max| max - length));
        }
        for (schema, index) in prefix.iter().zip(0..max.unwrap_or(length)).rev() {
            let item = self.schema(schema, &format!("{}/{index}", keywords.at("prefixItems")))?;
            let comma = if index == 0 { Language::text("") } else { self.layout.comma.clone() };
            content = Language::Concat(vec![comma, item, content]);
            if index >= min {
                content = Language::optional(content);
            }
        }
        Ok(self.layout.array(content))
    }

    fn string(&mut self, keywords: &Keywords<'a, '_>) -> Result<Language, GrammarError> {
        let mut contents: Vec<Language> = Vec::new();
        if let Some(pattern) = keywords.string("pattern")? {
            let pattern = ecma::translate(pattern).map_err(|reason| keywords.invalid("pattern", reason))?;
            let found =
                parse(&pattern, Writing::Json).map_err(|error| keywords.invalid("pattern", error.to_string()))?;
            let any = Language::repeat(text::any_character(), 0, None);
            // Compiled alone, because its anchors speak of the string and not of the whole text.
            let dfa = Language::Concat(vec![any.clone(), found, any]).compile(self.budget)?;
            contents.push(Language::Dfa(dfa.into()));
        }
        if let Some(name) = keywords.string("format")? {
            let Some(format) = format::by_name(name) else {
                return Err(GrammarError::Unsupported { pointer: keywords.at("format"), because: Some(format::KNOWN) });
            };
            contents.push(parse(&format, Writing::Json)?);
        }
        let (min, max) = keywords.counts("minLength", "maxLength")?;
        if contents.is_empty() || (min, max) != (0, None) {
            contents.push(Language::repeat(text::any_character(), min, max));
        }
        self.intersection(contents, keywords).map(text::quoted)
    }

    fn number(&self, keywords: &Keywords<'_, '_>, is_integer: bool) -> Result<Language, GrammarError> {
        let (lowest, highest) = (keywords.lowest()?, keywords.highest()?);
        let divisor = match keywords.get("multipleOf") {
            None => None,
            Some(Json::Number(number)) => {
                let divisor = number.as_u64().filter(|divisor| (1..=LARGEST_DIVISOR).contains(divisor));
                let because = Some("only integers from 1 to 1000 are");
                let pointer = keywords.at("multipleOf");
                Some(divisor.ok_or(GrammarError::Unsupported { pointer, because })?)
            }
            Some(_) => return Err(keywords.invalid("multipleOf", "it is not a number")),
        };
        if (&lowest, &highest, divisor) == (&None, &None, None) {
            return parse(if is_integer { INTEGER } else { NUMBER }, Writing::Plain);
        }
        let numbers = between(lowest.as_ref(), highest.as_ref(), self.budget)?;
        let dfa = match divisor {
            None if !is_integer => numbers.compile(self.budget)?,
            _ => integers(&numbers, divisor.unwrap_or(1), self.budget)?,
        };
        inhabited(dfa, keywords, "no number satisfies all keywords")
    }

    /// Returns what all of these languages share.
    fn intersection(
        &self,
        mut languages: Vec<Language>,
        keywords: &Keywords<'_, '_>,
    ) -> Result<Language, GrammarError> {
        let Some(last) = languages.pop() else { return Ok(Language::never()) };
        if languages.is_empty() {
            return Ok(last);
        }
        let mut dfa = last.compile(self.budget)?;
        for language in languages {
            dfa = dfa.intersection(&language.compile(self.budget)?, self.budget)?;
        }
        inhabited(dfa, keywords, "no string satisfies all keywords")
    }
}

/// Refuses an automaton that accepts nothing.
fn inhabited(dfa: ByteDfa, keywords: &Keywords<'_, '_>, otherwise: &str) -> Result<Language, GrammarError> {
    if dfa.states() == 0 { Err(invalid(keywords.pointer, otherwise)) } else { Ok(Language::Dfa(dfa.into())) }
}
