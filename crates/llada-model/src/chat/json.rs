//! The filter `tojson` of transformers, which is Python's `json.dumps` without ASCII escapes by default.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

use super::python::float;

/// The format of the text.
struct Style {
    ensure_ascii: bool,
    /// The indentation of one level of nesting, or `None` for a single line.
    indent: Option<String>,
    separators: [String; 2],
    sort_keys: bool,
}

/// The filter `tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(
    value: &Value,
    ensure_ascii: Option<Value>,
    indent: Option<Value>,
    separators: Option<Value>,
    named: Kwargs,
) -> Result<String, Error> {
    let argument = |positional: Option<Value>, name| match positional {
        Some(value) => Ok(Some(value)),
        None => named.get::<Option<Value>>(name),
    };
    let indent = argument(indent, "indent")?.map(|indent| indentation(&indent)).transpose()?;
    let separators = match argument(separators, "separators")? {
        Some(pair) => separators_of(&pair)?,
        None => [if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()],
    };
    let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let style = Style {
        ensure_ascii: is_true(argument(ensure_ascii, "ensure_ascii")?),
        indent,
        separators,
        sort_keys: is_true(named.get("sort_keys")?),
    };
    named.assert_all_used()?;
    let mut json = String::new();
    style.write(value, 0, &mut json)?;
    Ok(json)
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadSerialization, message.into())
}

/// Returns the indentation that `indent` describes by a number of spaces or as a text.
fn indentation(indent: &Value) -> Result<String, Error> {
    match (indent.as_str(), indent.as_i64()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some(spaces @ ..=80)) => Ok(" ".repeat(spaces.max(0) as usize)),
        _ => Err(refused(format!("tojson: indent is {indent}, not a text or at most 80 spaces"))),
    }
}

fn separators_of(pair: &Value) -> Result<[String; 2], Error> {
    let texts: Vec<String> = pair.try_iter()?.map(|text| text.to_string()).collect();
    texts.try_into().map_err(|_| refused(format!("tojson: separators is {pair}, not two texts")))
}

impl Style {
    fn write(&self, value: &Value, depth: usize, json: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => json.push_str("null"),
            ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => json.push_str(&number(value)),
            ValueKind::String => self.write_text(value.as_str().unwrap_or_default(), json),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_items('[', ']', depth, json, items.len(), |index, json| {
                    self.write(&items[index], depth + 1, json)
                })?;
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    entries.push((key_text(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.write_items('{', '}', depth, json, entries.len(), |index, json| {
                    let (key, value) = &entries[index];
                    self.write_text(key, json);
                    json.push_str(&self.separators[1]);
                    self.write(value, depth + 1, json)
                })?;
            }
            other => return Err(refused(format!("tojson: {other} is not JSON serializable"))),
        }
        Ok(())
    }

    fn write_items(
        &self,
        open: char,
        close: char,
        depth: usize,
        json: &mut String,
        count: usize,
        mut write_item: impl FnMut(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        json.push(open);
        for index in 0..count {
            if index > 0 {
                json.push_str(&self.separators[0]);
            }
            self.new_line(depth + 1, json);
            write_item(index, json)?;
        }
        if count > 0 {
            self.new_line(depth, json);
        }
        json.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, json: &mut String) {
        if let Some(indent) = &self.indent {
            json.push('\n');
            json.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn write_text(&self, text: &str, json: &mut String) {
        json.push('"');
        for character in text.chars() {
            match character {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                '\0'..'\x20' => push_escaped(character, json),
                _ if self.ensure_ascii && !(' '..='~').contains(&character) => push_escaped(character, json),
                _ => json.push(character),
            }
        }
        json.push('"');
    }
}

fn push_escaped(character: char, json: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        json.push_str(&format!("\\u{unit:04x}"));
    }
}

fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(number) if !value.is_integer() => match number {
            f64::INFINITY => "Infinity".to_owned(),
            f64::NEG_INFINITY => "-Infinity".to_owned(),
            number if number.is_nan() => "NaN".to_owned(),
            number => float(number),
        },
        _ => value.to_string(),
    }
}

/// Returns a key as a text, because keys in JSON are texts.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number => Ok(number(key)),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        other => Err(refused(format!("tojson: keys must be str, int, float, bool or None, not {other}"))),
    }
}
