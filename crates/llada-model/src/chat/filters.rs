//! Filters of Jinja2 that minijinja lacks or implements with other arguments.

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};
use minijinja_contrib::filters;

use super::methods::justify;

/// Adds the filters to `environment`, replacing minijinja's own of the same names.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("center", |text: &Value, width: Option<usize>| {
        justify(&text.to_string(), "center", width.unwrap_or(80), ' ')
    });
    for name in ["e", "escape"] {
        environment.add_filter(name, |text: &Value| if text.is_safe() { text.clone() } else { escaped(text) });
    }
    environment.add_filter("forceescape", escaped);
    environment.add_filter("filesizeformat", filters::filesizeformat);
    environment.add_filter("indent", indent);
    environment.add_filter("striptags", filters::striptags);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", filters::wordcount);
    environment.add_filter("wordwrap", |text: &Value, width: Option<Value>, named: Kwargs| {
        filters::wordwrap(text, with(named, "width", width)?)
    });
    environment.add_filter("xmlattr", xmlattr);
}

/// Returns the named arguments together with a positional one under its name.
fn with(named: Kwargs, name: &str, value: Option<Value>) -> Result<Kwargs, Error> {
    let mut all = Vec::new();
    for known in named.args() {
        all.push((known.to_owned(), named.get::<Value>(known)?));
    }
    all.extend(value.map(|value| (name.to_owned(), value)));
    Ok(all.into_iter().collect())
}

/// Escapes a text for HTML, with the character references of MarkupSafe.
fn escaped(text: &Value) -> Value {
    let text = text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Value::from_safe_string(text.replace('\'', "&#39;").replace('"', "&#34;"))
}

/// The filter `indent(s, width=4, first=False, blank=False)`, which indents all lines but the first. `width` is a
/// number of spaces or a text.
fn indent(
    text: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    named: Kwargs,
) -> Result<String, Error> {
    let width = width.map_or_else(|| named.get::<Option<Value>>("width"), |width| Ok(Some(width)))?;
    let first = first.map_or_else(|| named.get::<Option<bool>>("first"), |first| Ok(Some(first)))?;
    let blank = blank.map_or_else(|| named.get::<Option<bool>>("blank"), |blank| Ok(Some(blank)))?;
    named.assert_all_used()?;
    let indentation = match width {
        None => " ".repeat(4),
        Some(width) => match (width.as_str(), width.as_usize()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(spaces @ ..=1000)) => " ".repeat(spaces),
            _ => return Err(Error::new(ErrorKind::InvalidOperation, format!("indent: the width is {width}"))),
        },
    };
    let mut indented = String::new();
    for (index, line) in text.to_string().split('\n').enumerate() {
        if index > 0 {
            indented.push('\n');
        }
        let is_indented = if index == 0 { first == Some(true) } else { blank == Some(true) || !line.is_empty() };
        indented.extend([if is_indented { &indentation } else { "" }, line]);
    }
    Ok(indented)
}

/// The filter `truncate(s, length=255, killwords=False, end='...', leeway=5)`.
fn truncate(
    text: &Value,
    length: Option<usize>,
    kills_words: Option<bool>,
    end: Option<String>,
    named: Kwargs,
) -> Result<String, Error> {
    let length = length.map_or_else(|| named.get::<Option<usize>>("length"), |length| Ok(Some(length)))?.unwrap_or(255);
    let kills_words = kills_words.map_or_else(|| named.get::<Option<bool>>("killwords"), |kills| Ok(Some(kills)))?;
    let end = end.map_or_else(|| named.get::<Option<String>>("end"), |end| Ok(Some(end)))?;
    let end = end.unwrap_or_else(|| "...".to_owned());
    let leeway = named.get::<Option<usize>>("leeway")?.unwrap_or(5);
    named.assert_all_used()?;
    let text = text.to_string();
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = if kills_words == Some(true) {
        kept.as_str()
    } else {
        kept.rsplit_once(' ').map_or(kept.as_str(), |(words, _)| words)
    };
    Ok(format!("{kept}{end}"))
}

/// The filter `xmlattr`, which writes a mapping as attributes of a tag. Values that are none or undefined are left out.
fn xmlattr(attributes: &Value, autospace: Option<bool>) -> Result<Value, Error> {
    if attributes.kind() != ValueKind::Map {
        return Err(Error::new(ErrorKind::InvalidOperation, "xmlattr: not a mapping"));
    }
    let mut written = Vec::new();
    for name in attributes.try_iter()? {
        let value = attributes.get_item(&name)?;
        if !value.is_none() && !value.is_undefined() {
            written.push(format!("{}=\"{}\"", escaped(&name), escaped(&value)));
        }
    }
    let space = if written.is_empty() || autospace == Some(false) { "" } else { " " };
    Ok(Value::from_safe_string(format!("{space}{}", written.join(" "))))
}
