//! The lenient comparison of `flexible_extract`. It ignores sizes of brackets, fonts, per cent signs, the order of a set, and
//! the last decimals of a rounded number. Unlike the strict comparison it parses whole answers.

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

/// Parts without meaning. A part comes before those that are prefixes of it.
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

/// Returns true if two answers are equal in this sense.
pub(super) fn equal(a: &str, b: &str) -> bool {
    /// The length, in bytes, of the longest answer whose lists are split. It bounds the recursion over nested lists.
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

/// Removes everything from an answer that does not affect its value, except white space, which ends names of commands.
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
    // A number may start with its decimal point.
    let mut result = String::with_capacity(answer.len());
    for c in answer.chars() {
        if c == '.' && !result.ends_with(|before: char| before.is_ascii_digit()) {
            result.push('0');
        }
        result.push(c);
    }
    shorthand(&result)
}

/// Returns the text after the last `\in`.
fn within(answer: &str) -> &str {
    let mut rest = answer;
    while let Some((_, _, after)) = split_command(rest, &[r"\in"]) {
        rest = after;
    }
    rest
}

/// Removes `piece` from the text, except where it is part of the name of a longer command.
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

/// Several answers that are separated by commas, with or without brackets around them.
struct List<'a> {
    brackets: [&'a str; 2],
    items: Vec<&'a str>,
}

impl<'a> List<'a> {
    fn of(text: &'a str) -> Option<Self> {
        const BRACKETS: [[&str; 2]; 6] =
            [["(", ")"], ["[", "]"], ["(", "]"], ["[", ")"], [r"\{", r"\}"], [r"\langle", r"\rangle"]];
        let (mut brackets, mut inner) = (["", ""], text);
        for pair in BRACKETS {
            if let Some(within) = text.strip_prefix(pair[0]).and_then(|rest| rest.strip_suffix(pair[1])) {
                // Brackets that belong to different items, as in `(1,2),(3,4)`, do not enclose the list.
                if items(within).is_some() {
                    (brackets, inner) = (pair, within);
                }
                break;
            }
        }
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
        let mut unmatched = other.items.clone();
        for item in &self.items {
            let Some(index) = unmatched.iter().position(|other| equal(item, other)) else {
                return false;
            };
            unmatched.swap_remove(index);
        }
        true
    }
}

/// Splits the text at commas outside of brackets. Returns `None` if the brackets do not match.
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
    if let (Some(first), Some(second)) = (first.value(&constant), second.value(&constant)) {
        let (first, second) = (first.complex(), second.complex());
        if (first - second).norm() <= 5e-7 * first.norm().max(1.0) {
            return true;
        }
    }
    compare::equal(a, b)
}

/// Returns the value of a mathematical constant. Other symbols are NaN, which is near no number.
fn constant(name: &str) -> Complex64 {
    match name {
        "pi" => PI.into(),
        "e" => E.into(),
        "i" => Complex64::i(),
        _ => Complex64::new(f64::NAN, 0.0),
    }
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
