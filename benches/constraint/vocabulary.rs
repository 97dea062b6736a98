//! A vocabulary as byte-level BPE learns it, of invented words.

use std::collections::HashSet;

use llada::{GrammarError, Vocabulary};
use llada_core::rng::{Noise, Stream};

const TOKENS: usize = 100_256;

/// Returns all bytes, groups of up to three digits, runs of JSON's signs, and words with and without a space before them.
pub(crate) fn byte_level() -> Result<Vocabulary, GrammarError> {
    let mut pieces: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    let mut known: HashSet<Vec<u8>> = pieces.iter().cloned().collect();
    let digits = (0..100).map(|number| format!("{number:02}")).chain((0..1000).map(|number| format!("{number:03}")));
    let signs = ["{", "}", "[", "]", "\"", ":", ",", " ", "\n", "\\", "-", "."];
    let pairs = signs.iter().flat_map(|a| signs.iter().map(move |b| format!("{a}{b}")));
    let triples = pairs.clone().flat_map(|pair| signs.iter().map(move |sign| format!("{pair}{sign}")));
    let mut stream = Noise::new(0).stream(0, 0, 0);
    let words = std::iter::repeat_with(|| word(&mut stream));
    for text in digits.chain(pairs).chain(triples).chain(words) {
        if known.insert(text.clone().into_bytes()) {
            pieces.push(text.into_bytes());
        }
        if pieces.len() == TOKENS {
            break;
        }
    }
    Vocabulary::new(pieces.into_iter().map(Some).collect())
}

fn word(stream: &mut Stream) -> String {
    let mut word = String::new();
    if stream.uniform() < 0.5 {
        word.push(' ');
    }
    let is_capital = stream.uniform() < 0.2;
    for index in 0..2 + stream.below(8) {
        let letter = char::from(b'a' + stream.below(26) as u8);
        word.push(if is_capital && index == 0 { letter.to_ascii_uppercase() } else { letter });
    }
    // A few end in a sign, as code has them.
    if stream.uniform() < 0.1 {
        word.push_str(["\":", "\",", "=", "(", "."][stream.below(5) as usize]);
    }
    word
}
