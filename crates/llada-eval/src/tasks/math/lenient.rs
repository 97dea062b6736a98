//! The comparison of `flexible_extract`, which forgives what a strict one does not: sizes of brackets, fonts, per cents,
//! the order of a set, the last decimals of a rounded number. Unlike the strict one it reads whole answers.

use std::f64::consts::{E, PI};

use num_complex::Complex64;

use super::{
    compare,
    normalise::{closed, in_dollars, is_grouped, normalise, shorthand, unboxed, without_words},
    parser::parse,
    tex::{split_command, unwrapped},
};

const FONTS: [&str; 10] = [
    r"\text",
    r"\textit",
    r"\textrm",
    r"\mathrm",
    r"\mathbf",
    r"\mathit",
    r"\mathsf",
    r"\mathbb",
    r"\operatorname",
    r"\bold",
];

/// Pieces that say nothing, longer ones before those that they begin with.
const NOTHING: [&str; 24] = [
    r"^{\circ}",
    r"^\circ",
    r"\left",
    r"\right",
    r"\biggl",
    r"\biggr",
    r"\Biggl",
    r"\Biggr",
    r"\bigl",
    r"\bigr",
    r"\Bigl",
    r"\Bigr",
    r"\bigg",
    r"\big",
    r"\Big",
    r"\displaystyle",
    r"\qquad",
    r"\quad",
    r"\,",
    r"\;",
    r"\:",
    r"\!",
    r"\%",
    "%",
];

/// Whether two answers are the same, in this sense.
pub(super) fn equal(a: &str, b: &str) -> bool {
    /// Bytes of the longest answer whose lists are taken apart, however they are nested.
    const LONGEST: usize = 1_000;
    if a.len().max(b.len()) > LONGEST {
        return normalise(a) == normalise(b);
    }
    let (simple_a, simple_b) = (simplified(a), simplified(b));
    match (List::of(&simple_a), List::of(&simple_b)) {
        (Some(a), Some(b)) => a.equals(&b),
        (None, None) => are_same(&simple_a, &simple_b) || compare::equal(&normalise(a), &normalise(b)),
        _ => false,
    }
}

/// An answer without all that says nothing of its value; white space stays, since it ends names of commands.
fn simplified(answer: &str) -> String {
    let answer = unboxed(answer).replace(r"\$", "");
    let answer = in_dollars(answer.rsplit_once('=').map_or(answer.as_str(), |(_, value)| value)).replace('$', "");
    let mut answer = unwrapped(&closed(&answer), &FONTS);
    for piece in NOTHING {
        answer = without(&answer, piece);
    }
    let answer = without_words(&answer).replace("{,}", ",").replace(" and ", ",");
    let answer = within(&answer).trim().trim_end_matches('.').trim();
    if is_grouped(answer) {
        return answer.replace(',', "");
    }
    // A number may begin with its point.
    let mut result = String::with_capacity(answer.len());
    for c in answer.chars() {
        if c == '.' && !result.ends_with(|before: char| before.is_ascii_digit()) {
            result.push('0');
        }
        result.push(c);
    }
    shorthand(&result)
}

/// What stands after the last `\in`.
fn within(answer: &str) -> &str {
    let mut rest = answer;
    while let Some((_, _, after)) = split_command(rest, &[r"\in"]) {
        rest = after;
    }
    rest
}

/// The text without `piece`, where that is no part of the name of a longer command.
fn without(text: &str, piece: &str) -> String {
    let is_name = piece.ends_with(|c: char| c.is_ascii_alphabetic());
    let mut pieces = text.split(piece);
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for after in pieces {
        if is_name && after.starts_with(|c: char| c.is_ascii_lowercase()) {
            kept.push_str(piece);
        }
        kept.push_str(after);
    }
    kept
}

/// Answers with commas between them, in brackets or not.
struct List<'a> {
    brackets: [&'a str; 2],
    items: Vec<&'a str>,
}

impl<'a> List<'a> {
    fn of(text: &'a str) -> Option<Self> {
        const BRACKETS: [(&str, &str); 6] =
            [("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), (r"\{", r"\}"), (r"\langle", r"\rangle")];
        let within =
            |&(open, close): &(&'a str, &'a str)| Some(([open, close], text.strip_prefix(open)?.strip_suffix(close)?));
        let (brackets, inner) =
            BRACKETS.iter().find_map(within).filter(|(_, inner)| items(inner).is_some()).unwrap_or((["", ""], text));
        let items = items(inner)?;
        (items.len() > 1).then_some(Self { brackets, items })
    }

    fn equals(&self, other: &Self) -> bool {
        if self.brackets != other.brackets || self.items.len() != other.items.len() {
            return false;
        }
        let is_set = matches!(self.brackets[0], "" | r"\{");
        if !is_set {
            return self.items.iter().zip(&other.items).all(|(a, b)| equal(a, b));
        }
        let mut left = other.items.clone();
        self.items.iter().all(|item| {
            let found = left.iter().position(|other| equal(item, other));
            found.map(|index| left.swap_remove(index)).is_some()
        })
    }
}

/// The parts between commas outside of brackets; none if the brackets do not match.
fn items(text: &str) -> Option<Vec<&str>> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                items.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    items.push(&text[start..]);
    (depth == 0).then_some(items)
}

fn are_same(a: &str, b: &str) -> bool {
    if a.split_whitespace().eq(b.split_whitespace()) {
        return !a.is_empty();
    }
    let (Some((first, true)), Some((second, true))) = (parse(a), parse(b)) else {
        return false;
    };
    let constant = |name: &str| match name {
        "pi" => PI.into(),
        "e" => E.into(),
        "i" => Complex64::i(),
        // No number is near it.
        _ => Complex64::new(f64::NAN, 0.0),
    };
    let values = first.value(&constant).zip(second.value(&constant));
    let is_near = values.is_some_and(|(a, b)| {
        let (a, b) = (a.complex(), b.complex());
        (a - b).norm() <= 5e-7 * a.norm().max(1.0)
    });
    is_near || compare::equal(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_has_many_spellings() {
        for (a, b) in [
            ("$x = 5$", "5"),
            (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
            (r"\{2, 1\}", r"\{1,2\}"),
            ("2, 1", "1,2"),
            ("0.333333", r"\frac13"),
            (r"\sqrt2", "1.41421356"),
            (r"50\%", "50"),
            ("5.", "5"),
            (".5", r"\frac12"),
            (r"\mathrm{5}", "5"),
            (r"x \in [1,2]", "[1,2]"),
            (r"1\,000", "1000"),
            (r"i^2", "-1"),
        ] {
            assert!(equal(a, b), "{a} {b}: {} {}", simplified(a), simplified(b));
        }
    }

    #[test]
    fn other_answers_stay_apart() {
        for (a, b) in
            [("1,2", "1,3"), ("1,2", "1"), ("(1,2)", "[1,2]"), ("(1,2)", "(2,1)"), ("0.33", r"\frac13"), ("x", "y")]
        {
            assert!(!equal(a, b), "{a} {b}");
        }
    }
}
