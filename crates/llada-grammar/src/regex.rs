//! Regular expressions in the syntax of the `regex` crate.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Look},
};

use crate::{GrammarError, bytes::Language, text};

/// How the text that an expression speaks of is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// As it is.
    Plain,
    /// Between the quotes of a JSON string, with escapes.
    Json,
}

/// Returns the texts that an expression matches as a whole.
pub(crate) fn parse(pattern: &str, writing: Writing) -> Result<Language, GrammarError> {
    let refuse = |reason: String| GrammarError::Regex { pattern: pattern.to_owned(), reason };
    let hir = ParserBuilder::new().utf8(true).build().parse(pattern).map_err(|error| refuse(reason(&error)))?;
    language(&hir, writing).map_err(|reason| refuse(reason.to_owned()))
}

/// Returns what the parser complains of, without its picture of the place.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => error.to_string(),
    }
}

fn language(hir: &Hir, writing: Writing) -> Result<Language, &'static str> {
    let all = |parts: &[Hir]| parts.iter().map(|part| language(part, writing)).collect::<Result<Vec<_>, _>>();
    match hir.kind() {
        HirKind::Empty => Ok(Language::text("")),
        HirKind::Literal(literal) => {
            let literal = std::str::from_utf8(&literal.0).map_err(|_| "it matches bytes that are not UTF-8")?;
            Ok(Language::text(if writing == Writing::Json { text::escape(literal) } else { literal.to_owned() }))
        }
        HirKind::Class(class) => {
            let ranges: Vec<(char, char)> = match class {
                Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
                Class::Bytes(class) if class.is_ascii() => {
                    class.iter().map(|range| (range.start().into(), range.end().into())).collect()
                }
                Class::Bytes(_) => return Err("it matches bytes that are not UTF-8"),
            };
            Ok(if writing == Writing::Json { text::characters(&ranges) } else { Language::Characters(ranges) })
        }
        HirKind::Look(Look::Start) => Ok(Language::AtStart),
        HirKind::Look(Look::End) => Ok(Language::AtEnd),
        HirKind::Look(Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF) => {
            Err("anchors at the ends of lines are not supported")
        }
        HirKind::Look(_) => Err("word boundaries are not supported"),
        HirKind::Repetition(repetition) => {
            Ok(Language::repeat(language(&repetition.sub, writing)?, repetition.min, repetition.max))
        }
        HirKind::Capture(capture) => language(&capture.sub, writing),
        HirKind::Concat(parts) => Ok(Language::Concat(all(parts)?)),
        HirKind::Alternation(parts) => Ok(Language::Union(all(parts)?)),
    }
}
