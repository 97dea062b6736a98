//! The clean-up of an answer before it is compared: Minerva's appendix D
//! ([Lewkowycz et al., 2022](https://arxiv.org/abs/2206.14858)), in the order in which the harness does it, but that
//! boxes are opened first and braces are matched: an answer is the same in a box as outside of it.

use super::tex::{argument, group, split_command, unwrapped};

pub(super) const BOXES: [&str; 2] = [r"\boxed", r"\fbox"];
const WRAPPERS: [&str; 3] = [r"\text", r"\textbf", r"\overline"];

/// Pieces, and what takes their place, in this order.
const SUBSTITUTIONS: [(&str, &str); 10] = [
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    (r"\$", ""),
    (r"\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (r",\text{and}", ","),
    (r"\text{and}", ","),
    (r"\text{m}", r"\text{}"),
];

/// Units, and other words and marks that say nothing about the value, in this order.
const REMOVED: [&str; 42] = [
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
    r"\ldots",
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
    "childrentickets",
    "multiples",
    r"\text{s}",
    r"\text{.}",
    "\\text{\ns}",
    r"\text{}^2",
    r"\text{}^3",
    "\\text{\n}",
    r"\text{}",
    r"\mathrm{th}",
    r"^\circ",
    r"^{\circ}",
    r"\;",
    r",\!",
    "{,}",
    "\"",
    r"\dots",
];

/// An answer as it is compared. A text of many pages is none, and stays as it is.
pub(super) fn normalise(answer: &str) -> String {
    const LONGEST: usize = 4_000;
    if answer.len() > LONGEST {
        return answer.to_owned();
    }
    let mut answer = unboxed(answer);
    if let Some((_, value)) = answer.rsplit_once('=') {
        answer = closed(value);
    }
    let mut answer = without_words(&answer);
    for (piece, instead) in SUBSTITUTIONS {
        answer = answer.replace(piece, instead);
    }
    for piece in REMOVED {
        answer = if is_word(piece) { outside_commands(&answer, piece) } else { answer.replace(piece, "") };
    }
    answer = answer.split('\n').map(in_dollars).collect::<Vec<_>>().join("\n");
    answer = shorthand(&unwrapped(&answer, &WRAPPERS)).replace('$', "");
    if is_grouped(&answer) { answer.replace(',', "") } else { answer }
}

/// The answer with `\boxed{x}` as `x`, and `\boxed x` too.
pub(super) fn unboxed(answer: &str) -> String {
    let mut kept = String::with_capacity(answer.len());
    let mut rest = answer.to_owned();
    while let Some((before, command, after)) = split_command(&rest, &BOXES) {
        kept.push_str(before);
        rest = match argument(after) {
            Some((inner, after)) => [inner, after].concat(),
            None => {
                kept.push_str(command);
                after.to_owned()
            }
        };
    }
    kept + &rest
}

/// The text without closing braces that nothing opens: those of what the equals sign stood in.
pub(super) fn closed(text: &str) -> String {
    let mut depth = 0_usize;
    let mut is_closed = |c: char| {
        depth += usize::from(c == '{');
        let is_extra = c == '}' && depth == 0;
        depth -= usize::from(c == '}' && !is_extra);
        !is_extra
    };
    text.chars().filter(|&c| is_closed(c)).collect()
}

fn is_word(piece: &str) -> bool {
    piece.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The text without whole words of [`REMOVED`]; a word after a backslash is a command.
pub(super) fn without_words(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        if kept.ends_with('\\') || !is_word(word) || !REMOVED.contains(&word) {
            kept.push_str(word);
        }
        rest = after;
    }
    kept
}

/// The text without `piece`, the names of commands being left as they are.
fn outside_commands(text: &str, piece: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        kept.push_str(&before.replace(piece, ""));
        kept.push('\\');
        kept.push_str(&after[..letters]);
        rest = &after[letters..];
    }
    kept + &rest.replace(piece, "")
}

/// What stands between the first two dollars, and they; all, if there are not two.
pub(super) fn in_dollars(line: &str) -> &str {
    let inner = line.find('$').and_then(|first| Some(&line[first..first + 2 + line[first + 1..].find('$')?]));
    inner.unwrap_or(line)
}

/// Braces around arguments without: `\frac12` as `\frac{1}{2}`, `\sqrt2` as `\sqrt{2}`.
pub(super) fn shorthand(text: &str) -> String {
    const FRACTIONS: [&str; 3] = [r"\frac", r"\dfrac", r"\tfrac"];
    const ROOT: &str = r"\sqrt";
    let [a, b, c] = FRACTIONS;
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, command, mut after)) = split_command(rest, &[a, b, c, ROOT]) {
        result.push_str(before);
        result.push_str(command);
        if let Some(end) = after.find(']').filter(|_| command == ROOT && after.starts_with('[')) {
            result.push_str(&after[..=end]);
            after = &after[end + 1..];
        }
        for _ in 0..if command == ROOT { 1 } else { 2 } {
            // An argument that is a fraction or a root has arguments of its own.
            let bare = argument(after).filter(|(inner, _)| !after.starts_with('{') && ![a, b, c, ROOT].contains(inner));
            if let Some((inner, following)) = bare {
                result.extend(["{", inner, "}"]);
                after = following;
            } else if let Some((inner, following)) = group(after) {
                result.extend(["{", &shorthand(inner), "}"]);
                after = following;
            } else {
                break;
            }
        }
        rest = after;
    }
    result + rest
}

/// Whether commas part groups of three digits, as in `12,000`: those of a pair are no part of a number.
pub(super) fn is_grouped(text: &str) -> bool {
    let mut groups = text.strip_prefix('-').unwrap_or(text).split(',');
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && digits(first))
        && groups.clone().count() > 0
        && groups.all(|group| group.len() == 3 && digits(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the box holds does not matter, nor what holds the box.
    #[test]
    fn a_box_is_nothing() {
        for answer in
            [r"\frac{1}{2}", r"8\sqrt{2} + 8", "x = 5", r"\text{(B)}", "12,000", r"\{1,2\}", r"\sqrt2", "5 cm"]
        {
            let expected = normalise(answer);
            for boxed in ["\\boxed{#}", "$\\boxed{#}$", "\\fbox{$#$}", "\\boxed{\\boxed{#}}", "\\text{\\boxed{#}}"] {
                assert_eq!(normalise(&boxed.replace('#', answer)), expected, "{boxed} of {answer}");
            }
        }
    }
}
