//! The methods of Python's strings, lists and dictionaries that templates may call. None of them changes its object.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Tuple, ValueKind, from_args},
};
use minijinja_contrib::pycompat;

/// Calls a method of `value`.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => text_method(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq | ValueKind::Iterable => list_method(value, method, args)?,
        ValueKind::Map if method == "copy" => Some(value.clone()),
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_owned())
}

/// Calls a method of `str` that minijinja lacks or implements with fewer arguments. Returns `None` for other methods.
fn text_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "split" | "rsplit" => split(text, method == "rsplit", args)?,
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            partition(text, separator, method == "rpartition")?
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "find" | "rfind" | "index" | "rindex" => find(text, method, args)?,
        "startswith" | "endswith" if args.len() > 1 => {
            let (affix, start, end): (Value, i64, Option<i64>) = from_args(args)?;
            let window = window(text, start, end).1;
            let affixes: Vec<Value> = if affix.is_tuple() { affix.try_iter()?.collect() } else { vec![affix] };
            let fits =
                |affix: &str| if method == "endswith" { window.ends_with(affix) } else { window.starts_with(affix) };
            affixes.iter().filter_map(Value::as_str).any(fits).into()
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            let zeros = padding(width, text, '0')?;
            format!("{sign}{zeros}{digits}").into()
        }
        "center" | "ljust" | "rjust" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            justify(text, method, width, fill.unwrap_or(' '))?.into()
        }
        "title" => title(text).into(),
        "istitle" => (title(text) == text && text.chars().any(char::is_alphabetic)).into(),
        "capitalize" => {
            let mut characters = text.chars();
            let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
            (first + &characters.as_str().to_lowercase()).into()
        }
        "swapcase" => {
            let swap = |letter: char| {
                if letter.is_uppercase() {
                    letter.to_lowercase().to_string()
                } else {
                    letter.to_uppercase().to_string()
                }
            };
            text.chars().map(swap).collect::<String>().into()
        }
        "casefold" => text.to_lowercase().replace('\u{df}', "ss").into(),
        "isdecimal" => (!text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit())).into(),
        _ => return Ok(None),
    }))
}

fn list_method(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "index" => {
            let (wanted,): (Value,) = from_args(args)?;
            let index = list.try_iter()?.position(|item| item == wanted);
            index.ok_or_else(|| refused("the list has no such item"))?.into()
        }
        "copy" => list.clone(),
        _ => return Ok(None),
    }))
}

/// The methods `split(sep=None, maxsplit=-1)` and `rsplit`.
fn split(text: &str, from_the_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit, named): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = match separator {
        Some(separator) => Some(separator),
        None => named.get::<Option<Value>>("sep")?,
    };
    let limit = match limit {
        Some(limit) => Some(limit),
        None => named.get::<Option<i64>>("maxsplit")?,
    };
    named.assert_all_used()?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match separator.as_ref().map(|separator| separator.as_str()) {
        None => split_at_spaces(text, limit, from_the_end),
        Some(Some("")) => return Err(refused("empty separator")),
        Some(Some(separator)) if from_the_end => {
            let mut parts: Vec<&str> = text.rsplitn(limit.saturating_add(1), separator).collect();
            parts.reverse();
            parts
        }
        Some(Some(separator)) => text.splitn(limit.saturating_add(1), separator).collect(),
        Some(None) => return Err(refused("the separator is not a text")),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// Splits `text` at whitespace at most `limit` times. The rest is left as it is.
fn split_at_spaces(text: &str, limit: usize, from_the_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = if from_the_end { text.trim_end() } else { text.trim_start() };
    while !rest.is_empty() {
        let cut = if from_the_end { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
        let (word, others) = match cut.filter(|_| parts.len() < limit) {
            Some(cut) if from_the_end => {
                let space = rest[cut..].chars().next().map_or(0, char::len_utf8);
                (&rest[cut + space..], rest[..cut].trim_end())
            }
            Some(cut) => (&rest[..cut], rest[cut..].trim_start()),
            None => (rest, ""),
        };
        parts.push(word);
        rest = others;
    }
    if from_the_end {
        parts.reverse();
    }
    parts
}

fn partition(text: &str, separator: &str, from_the_end: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(refused("empty separator"));
    }
    let found = if from_the_end { text.rsplit_once(separator) } else { text.split_once(separator) };
    let [before, between, after] = match found {
        Some((before, after)) => [before, separator, after],
        None if from_the_end => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(Tuple::from([before.into(), between.into(), after.into()])))
}

/// Where a text occurs, in characters: -1, or an error for `index` and `rindex`, if it does not.
fn find(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let (skipped, window) = window(text, start.unwrap_or(0), end);
    let found = if method.starts_with('r') { window.rfind(wanted) } else { window.find(wanted) };
    match found {
        Some(at) => Ok((skipped + window[..at].chars().count()).into()),
        None if method.ends_with("index") => Err(refused("substring not found")),
        None => Ok((-1).into()),
    }
}

/// Returns the number of characters before `text[start:end]`, and the slice.
fn window(text: &str, start: i64, end: Option<i64>) -> (usize, &str) {
    let length = text.chars().count();
    let place = |index: i64| match usize::try_from(index) {
        Ok(index) => index.min(length),
        Err(_) => length.saturating_sub(index.unsigned_abs() as usize),
    };
    let byte = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte);
    let (start, end) = (place(start), end.map_or(length, place));
    (start, &text[byte(start)..byte(end.max(start))])
}

/// Returns the padding that extends `text` to `width` characters.
fn padding(width: usize, text: &str, fill: char) -> Result<String, Error> {
    if width > 1 << 20 {
        return Err(refused("the width is over a million characters"));
    }
    Ok(fill.to_string().repeat(width.saturating_sub(text.chars().count())))
}

/// Pads `text` to `width`: on the right for `ljust`, on the left for `rjust`, and on both sides for `center`.
pub(super) fn justify(text: &str, method: &str, width: usize, fill: char) -> Result<String, Error> {
    let padding = padding(width, text, fill)?;
    let count = padding.chars().count();
    let left = match method {
        "ljust" => 0,
        "rjust" => count,
        // If the padding is odd, Python puts the extra character on the left only if the width is odd too.
        _ => count / 2 + (count & width & 1),
    };
    let side = |count: usize| fill.to_string().repeat(count);
    Ok(format!("{}{text}{}", side(left), side(count - left)))
}

/// The method `title`, which capitalises every letter that does not follow another letter.
fn title(text: &str) -> String {
    let mut titled = String::new();
    let mut is_inside = false;
    for letter in text.chars() {
        if is_inside {
            titled.extend(letter.to_lowercase());
        } else {
            titled.extend(letter.to_uppercase());
        }
        is_inside = letter.is_alphabetic();
    }
    titled
}
