//! When two formulas are the same answer: equal after the clean-up of Minerva's appendix D
//! ([Lewkowycz et al., 2022](https://arxiv.org/abs/2206.14858)), or equal numbers.
//!
//! The harness compares with a computer algebra system after the clean-up. In its place stand here: `\dfrac` and
//! `\tfrac` as `\frac`, no `\left`, `\right` and `\%`, and numbers by their value. So `x+1` and `1+x` differ here, and
//! a figure may come out lower.

/// Units and other words that say nothing about the value. Minerva's articles are not among them: `a` is a variable
/// too.
const WORDS: [&str; 27] = [
    "square",
    "ways",
    "integers",
    "dollars",
    "mph",
    "inches",
    "ft",
    "hours",
    "km",
    "units",
    "sue",
    "points",
    "feet",
    "minutes",
    "digits",
    "cents",
    "degrees",
    "cm",
    "gm",
    "pounds",
    "meters",
    "meals",
    "edges",
    "students",
    "multiples",
    "childrentickets",
    "th",
];

/// Pieces of LaTeX, and what takes their place, in this order.
const PIECES: [(&str, &str); 20] = [
    (".$", "$"),
    (r"\$", ""),
    (r"\ ", ""),
    (r"\;", ""),
    (r"\!", ""),
    (r"\left", ""),
    (r"\right", ""),
    (r"\dfrac", r"\frac"),
    (r"\tfrac", r"\frac"),
    (r"\mbox", r"\text"),
    (r",\text{and}", ","),
    (r"\text{and}", ","),
    (r"^{\circ}", ""),
    (r"^\circ", ""),
    (r"\%", ""),
    (r"\ldots", ""),
    (r"\dots", ""),
    ("\"", ""),
    ("{,}", ","),
    (r"\mathrm{}", ""),
];

/// An answer as it is compared.
pub(super) fn normalise(answer: &str) -> String {
    let answer = answer.rsplit('=').next().unwrap_or(answer);
    let mut answer = without_words(answer).replace(char::is_whitespace, "");
    for (piece, instead) in PIECES {
        answer = answer.replace(piece, instead);
    }
    let mut answer = in_dollars(&answer).to_owned();
    for command in [r"\text{", r"\textbf{", r"\overline{", r"\boxed{"] {
        answer = unwrapped(&answer, command);
    }
    let mut answer = answer.replace('$', "");
    for (command, arguments) in [(r"\frac", 2), (r"\sqrt", 1), ("^", 1)] {
        answer = braced(&answer, command, arguments);
    }
    if is_grouped(&answer) { answer.replace(',', "") } else { answer }
}

/// Whether two normalised answers are the same.
pub(super) fn equal(a: &str, b: &str) -> bool {
    let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    a == b || number(a).zip(number(b)).is_some_and(close)
}

/// The text without whole words of [`WORDS`]; a word after a backslash is a command.
fn without_words(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let letters = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(letters.max(first.len_utf8()));
        if kept.ends_with('\\') || !WORDS.contains(&word) {
            kept.push_str(word);
        }
        rest = after;
    }
    kept
}

/// What stands between the first two dollars; all, if there are not two.
fn in_dollars(text: &str) -> &str {
    let inner = text.split_once('$').and_then(|(_, rest)| rest.split_once('$'));
    inner.map_or(text, |(inner, _)| inner)
}

/// The text with `\command{x}` as `x`.
fn unwrapped(text: &str, command: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(command) {
        kept.push_str(before);
        match inside.split_once('}') {
            Some((inner, after)) => {
                kept.push_str(inner);
                rest = after;
            }
            None => rest = inside,
        }
    }
    kept + rest
}

/// Braces around the arguments of `command` where they are single characters: `\frac12` as `\frac{1}{2}`.
fn braced(text: &str, command: &str, arguments: usize) -> String {
    let mut pieces = text.split(command);
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        result.push_str(command);
        let short = piece.chars().take(arguments).filter(|c| c.is_ascii_alphanumeric()).count() == arguments;
        let (bare, rest) = if short { piece.split_at(arguments) } else { ("", piece) };
        bare.chars().for_each(|c| result.extend(['{', c, '}']));
        result.push_str(rest);
    }
    result
}

/// Whether commas part groups of three digits, as in `12,000`: those of a pair are no part of a number.
fn is_grouped(text: &str) -> bool {
    let mut groups = text.strip_prefix('-').unwrap_or(text).split(',');
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && digits(first))
        && groups.clone().count() > 0
        && groups.all(|group| group.len() == 3 && digits(group))
}

/// The value of an integer, a decimal, or a fraction of such.
fn number(text: &str) -> Option<f64> {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |text| (-1.0, text));
    let fraction = text.strip_prefix(r"\frac{").and_then(|text| text.strip_suffix('}')?.split_once("}{"));
    let plain = |text: &str| {
        let written = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        text.parse::<f64>().ok().filter(|_| written)
    };
    let value = match fraction.or_else(|| text.split_once('/')) {
        Some((top, bottom)) => plain(top)? / plain(bottom).filter(|&bottom| bottom != 0.0)?,
        None => plain(text)?,
    };
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_has_many_spellings() {
        for (a, b) in [
            ("$x = 5$", "5"),
            (r"\frac12", r"\dfrac{1}{2}"),
            (r"\frac{1}{2}", "0.5"),
            ("3/4", ".75"),
            ("12,000", "12000"),
            (r"2\pi \text{ cm}", r"2\pi"),
            ("10 dollars", r"\$10"),
            (r"90^\circ", "90"),
            (r"\sqrt2", r"\sqrt{2}"),
            (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
            (r"\text{(B)}", "(B)"),
            (r"\boxed{7}", "7"),
            ("The answer is $7$.", "7"),
            (r"50\%", "50"),
            ("a^2b", "a^{2}b"),
        ] {
            assert!(equal(&normalise(a), &normalise(b)), "{a}: {}, {b}: {}", normalise(a), normalise(b));
        }
    }

    #[test]
    fn other_answers_stay_apart() {
        for (a, b) in
            [("0,1", "01"), ("1", "-1"), (r"\frac{1}{2}", r"\frac{2}{1}"), ("", "0"), ("1/0", "1"), ("x", "y")]
        {
            assert!(!equal(&normalise(a), &normalise(b)), "{a}: {}, {b}: {}", normalise(a), normalise(b));
        }
    }
}
