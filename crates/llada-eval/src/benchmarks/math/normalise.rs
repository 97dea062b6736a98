//! The normalisation of an answer before it is compared: Minerva's appendix D
//! ([Lewkowycz et al., 2022](https://arxiv.org/abs/2206.14858)), in the order of the harness, except that boxes are opened
//! first and braces are matched, so that an answer in a box is equal to the answer alone.

use super::tex::{argument, group, split_command, unwrapped};

pub(super) const BOXES: [&str; 2] = [r"\boxed", r"\fbox"];
const WRAPPERS: [&str; 3] = [r"\text", r"\textbf", r"\overline"];

/// Parts and their replacements, in the order in which they are applied.
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

/// Units and other words and marks that do not affect the value, in the order in which they are removed.
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

/// Normalises an answer. A text that is too long to be an answer is returned unchanged.
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

/// Replaces `\boxed{x}` and `\boxed x` with `x`.
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

/// Removes closing braces without an opening one, which remain when the text before an equals sign is dropped.
pub(super) fn closed(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => continue,
            '}' => depth -= 1,
            _ => {}
        }
        kept.push(c);
    }
    kept
}

fn is_word(piece: &str) -> bool {
    piece.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Removes whole words of [`REMOVED`]. A word after a backslash is a command and stays.
pub(super) fn without_words(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        if kept.ends_with('\\') || !is_word(word) || !REMOVED.contains(&word) {
            kept.push_str(word);
        }
        rest = after;
    }
    kept
}

/// Removes `piece` from the text, except from names of commands.
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

/// Returns the text from the first dollar sign to the second, both included, or the whole line if there are not two.
pub(super) fn in_dollars(line: &str) -> &str {
    let inner = line.find('$').and_then(|first| Some(&line[first..first + 2 + line[first + 1..].find('$')?]));
    inner.unwrap_or(line)
}

/// Puts braces around arguments without them: `\frac12` becomes `\frac{1}{2}`, and `\sqrt2` becomes `\sqrt{2}`.
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
            // A fraction or a root is no bare argument, because it has arguments of its own.
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

/// Returns true if the text is a number with commas between groups of three digits, as in `12,000`, and not a pair.
pub(super) fn is_grouped(text: &str) -> bool {
    let groups: Vec<&str> = text.strip_prefix('-').unwrap_or(text).split(',').collect();
    let [first, others @ ..] = groups.as_slice() else {
        return false;
    };
    (1..=3).contains(&first.len())
        && are_digits(first)
        && !others.is_empty()
        && others.iter().all(|group| group.len() == 3 && are_digits(group))
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer in boxes has the same normal form as the answer alone.
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
