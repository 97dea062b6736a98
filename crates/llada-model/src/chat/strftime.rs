//! The function `strftime_now` of transformers, which formats the current time as Python's `datetime.strftime` does.

use std::fmt::Write;

use chrono::{Local, NaiveDateTime};

/// The directives for which chrono and Python agree.
const KNOWN: &str = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%";

/// The largest width to which a value is padded.
const LONGEST: usize = 1000;

/// Returns the current time in the machine's time zone, in `format`.
pub(super) fn now(format: &str) -> String {
    strftime(Local::now().naive_local(), format)
}

/// Formats a datetime without a time zone. Text that is not a directive is copied.
fn strftime(moment: NaiveDateTime, format: &str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let directive = &rest[at + 1..];
        let after_flag = directive.strip_prefix(['-', '_', '0']).unwrap_or(directive);
        let after_width = after_flag.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let Some(letter) = after_width.chars().next() else {
            return text + &rest[at..];
        };
        let (flag, width) = (&directive[..directive.len() - after_flag.len()], after_flag.len() - after_width.len());
        let width = after_flag[..width].parse().unwrap_or(0);
        rest = &after_width[letter.len_utf8()..];
        match written(moment, flag, letter) {
            Some(value) if width > LONGEST => text.push_str(&value),
            Some(value) if flag == "_" => text.push_str(&format!("{value:>width$}")),
            Some(value) => text.push_str(&format!("{value:0>width$}")),
            None => text.extend(["%", &directive[..directive.len() - rest.len()]]),
        }
    }
    text + rest
}

/// Returns the value of a directive, or `None` if there is no such directive.
fn written(moment: NaiveDateTime, flag: &str, letter: char) -> Option<String> {
    match letter {
        'f' => Some(moment.format("%6f").to_string()),
        // A datetime without a zone has none to write.
        'z' | 'Z' => Some(String::new()),
        _ if KNOWN.contains(letter) => {
            let mut text = String::new();
            write!(text, "{}", moment.format(&format!("%{flag}{letter}"))).ok()?;
            Some(text)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        moment: String,
        format: String,
        text: String,
    }

    #[test]
    fn every_directive_is_pythons() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/chat/strftime.json")).unwrap();
        assert!(cases.len() > 90);
        for Case { moment, format, text } in cases {
            assert_eq!(strftime(moment.parse().unwrap(), &format), text, "{format}");
        }
        assert_eq!(now("%Y-%m-%d %H:%M:%S").len(), 19);
    }
}
