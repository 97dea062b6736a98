//! Regular expressions against the `regex` crate, on every string of a few tokens.

use llada_core::rng::{Noise, Stream};
use llada_grammar::{Limits, Pattern, Vocabulary};

use crate::{accepts, compile};

/// Draws an expression over a few characters.
fn expression(random: &mut Stream, depth: u32) -> String {
    if depth == 0 {
        let leaves = ["a", "b", "é", "x", "[ab]", "[^a]", ".", "", "^", "$", r"\w", "ab", "[a-é]"];
        return leaves[random.below(leaves.len() as u64) as usize].to_owned();
    }
    let mut inner = || expression(random, depth - 1);
    let (first, second) = (inner(), inner());
    match random.below(7) {
        0 => format!("(?:{first})*"),
        1 => format!("(?:{first})?"),
        2 => format!("({first}){{1,2}}"),
        3 => format!("(?:{first}){{2,}}?"),
        4 => format!("(?:{first}|{second})"),
        _ => format!("{first}{second}"),
    }
}

#[test]
fn automata_agree_with_the_regex_crate_on_every_short_string() {
    let pieces: [&[u8]; 9] = [b"a", b"b", b"ab", b"x", "é".as_bytes(), &[0xc3], &[0xa9], b"b\xc3", b"\xa9a"];
    let mut pieces: Vec<_> = pieces.iter().map(|piece| Some(piece.to_vec())).collect();
    // A special token, and a second one with the bytes of the first.
    pieces.extend([None, Some(b"a".to_vec())]);
    let vocabulary = Vocabulary::new(pieces.clone()).unwrap();
    let (mut accepted, mut empty) = (0, 0);
    for seed in 0..400 {
        let mut random = Noise::new(seed).stream(0, 0, 0);
        let text = expression(&mut random, 1 + seed as u32 % 4);
        let oracle = regex::bytes::Regex::new(&format!(r"\A(?:{text})\z")).unwrap();
        let automaton = Pattern::regex(text.as_str()).compile(&vocabulary, &Limits::default());
        empty += usize::from(automaton.is_err());
        for length in 0..=4_u32 {
            for number in 0..(pieces.len() as u32).pow(length) {
                let size = pieces.len() as u32;
                let tokens: Vec<u32> = (0..length).map(|digit| number / size.pow(digit) % size).collect();
                let bytes: Option<Vec<Vec<u8>>> = tokens.iter().map(|&token| pieces[token as usize].clone()).collect();
                let bytes = bytes.map(|bytes| bytes.concat());
                let expected =
                    bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok() && oracle.is_match(&bytes));
                let found = automaton.as_ref().is_ok_and(|automaton| automaton.accepts(&tokens));
                assert_eq!(found, expected, "{text:?} on {tokens:?}");
                accepted += usize::from(found);
            }
        }
    }
    assert!(accepted > 10_000 && empty < 100, "{accepted} accepted, {empty} empty");
}

#[test]
fn choices_are_their_texts() {
    let automaton = compile(&Pattern::choice(["yes", "no", "yes", "née", ""])).unwrap();
    for (text, expected) in [("yes", true), ("no", true), ("née", true), ("", true), ("ye", false), ("nono", false)] {
        assert_eq!(accepts(&automaton, text), expected, "{text}");
    }
    let none = compile(&Pattern::choice(Vec::<String>::new())).unwrap_err();
    assert_eq!(none.to_string(), "no text matches the pattern");
}

#[test]
fn unsupported_expressions_are_refused() {
    for (text, reason) in [
        ("a(", "unclosed group"),
        (r"\bword\b", "word boundaries are not supported"),
        ("(?m)^a$", "anchors at the ends of lines are not supported"),
        ("(?=a)", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(?-u)\xff", "pattern can match invalid UTF-8"),
    ] {
        let message = compile(&Pattern::regex(text)).unwrap_err().to_string();
        assert_eq!(message, format!("the regular expression {text:?} is refused: {reason}"));
    }
    for text in ["a^", "[a&&b]", "$a"] {
        assert_eq!(compile(&Pattern::regex(text)).unwrap_err().to_string(), "no text matches the pattern", "{text}");
    }
}
