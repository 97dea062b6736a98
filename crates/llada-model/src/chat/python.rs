//! Python's operator `%` and its format of numbers, which differ from minijinja's.

use minijinja::{
    Error, ErrorKind, Output, State, Value, context, escape_formatter,
    formatting::{FormatStyle, format},
    value::ValueKind,
};

/// Returns `repr` of a float: the shortest digits that identify it, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text.replace("NaN", "nan"),
    }
}

/// Writes the value of an expression in `{{ }}`.
pub(super) fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match f64::try_from(value.clone()) {
        Ok(number) if value.kind() == ValueKind::Number && !value.is_integer() => {
            escape_formatter(out, state, &Value::from(float(number)))
        }
        _ => escape_formatter(out, state, value),
    }
}

/// Computes `left % right`, which formats a string or is the remainder of a division.
pub(super) fn modulo(state: &State, left: &Value, right: &Value) -> Result<Value, Error> {
    match left.as_str() {
        Some(text) => fill_in(text, right).map(Value::from),
        None => state.env().compile_expression("left % right")?.eval(context! { left, right }),
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Formats `text` with the arguments `right`, one directive at a time.
fn fill_in(text: &str, right: &Value) -> Result<String, Error> {
    let arguments: Vec<Value> = if right.is_tuple() { right.try_iter()?.collect() } else { vec![right.clone()] };
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().ok_or_else(|| refused("not enough arguments for format string"));
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        let directive = Directive::read(&rest[at + 1..])?;
        rest = &rest[at + 1 + directive.length..];
        if directive.letter == '%' {
            filled.push('%');
            continue;
        }
        let mut layout = directive.layout.to_owned();
        while layout.contains('*') {
            layout = layout.replacen('*', &next()?.to_string(), 1);
        }
        let value = match directive.name {
            Some(name) => named(right, name)?,
            None => next()?,
        };
        let (letter, value) = match directive.letter {
            'r' | 'a' => ('s', Value::from(format!("{value:?}"))),
            letter => (letter, value),
        };
        filled.push_str(&format(FormatStyle::Printf, &format!("%{layout}{letter}"), &[value])?);
    }
    // A mapping or list may hold more values than the text uses. All others, and tuples, must be used up.
    let is_left = arguments.next().is_some();
    if is_left && (right.is_tuple() || !matches!(right.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)) {
        return Err(refused("not all arguments converted during string formatting"));
    }
    Ok(filled + rest)
}

fn named(mapping: &Value, name: &str) -> Result<Value, Error> {
    if mapping.kind() != ValueKind::Map {
        return Err(refused("format requires a mapping"));
    }
    let value = mapping.get_item(&Value::from(name))?;
    if value.is_undefined() { Err(refused(format!("format: there is no {name:?}"))) } else { Ok(value) }
}

/// A directive after its `%`: a name in brackets, flags, width and precision, and the letter of a type.
struct Directive<'a> {
    name: Option<&'a str>,
    layout: &'a str,
    letter: char,
    length: usize,
}

impl<'a> Directive<'a> {
    fn read(text: &'a str) -> Result<Self, Error> {
        let (name, start) = match text.strip_prefix('(').and_then(|named| named.split_once(')')) {
            Some((name, _)) => (Some(name), name.len() + 2),
            None => (None, 0),
        };
        let layout = &text[start..];
        let layout = &layout[..layout.len() - layout.trim_start_matches(['#', '0', '-', ' ', '+']).len()];
        let digits = |text: &'a str| {
            text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '*').len()
        };
        let mut end = start + layout.len();
        end += digits(&text[end..]);
        if text[end..].starts_with('.') {
            end += 1;
            end += digits(&text[end..]);
        }
        let layout = &text[start..end];
        let size = usize::from(text[end..].starts_with(['h', 'l', 'L']));
        let letter = text[end + size..].chars().next().ok_or_else(|| refused("incomplete format"))?;
        Ok(Self { name, layout, letter, length: end + size + letter.len_utf8() })
    }
}
