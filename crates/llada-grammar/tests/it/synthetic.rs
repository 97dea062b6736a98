//! A vocabulary like those of large models, drawn from a seed: all bytes, numbers of up to three digits, runs of spaces and
//! line ends, the punctuation of JSON in combinations, and for the rest words, alone, capitalised and after a space.

use std::collections::HashSet;

use llada_core::rng::{Noise, Stream};
use llada_grammar::{GrammarError, Vocabulary};

/// Creates a vocabulary of so many tokens, of which the last five are special.
pub(crate) fn vocabulary(tokens: usize) -> Result<Vocabulary, GrammarError> {
    let mut random = Noise::new(0).stream(0, 0, 0);
    let mut pieces: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    pieces.extend((0..10).flat_map(|number| [format!("{number:02}"), format!("{number:03}")]).map(String::into_bytes));
    pieces.extend((10..1000).map(|number: u32| number.to_string().into_bytes()));
    pieces.extend((2..80).flat_map(|length| [" ", "\n", "\t"].map(|space| space.repeat(length).into_bytes())));
    let marks = ["\"", "{", "}", "[", "]", ",", ":", " ", "'", "(", ")", ";", "\n", "-", ".", "/", "\\", "=", "<", ">"];
    for first in marks {
        for second in marks {
            pieces.push([first, second].concat().into_bytes());
            pieces.extend(marks.iter().take(8).map(|third| [first, second, third].concat().into_bytes()));
        }
    }
    let mut known = HashSet::new();
    pieces.retain(|piece| known.insert(piece.clone()));
    while pieces.len() + 5 < tokens {
        let word = word(&mut random);
        if known.insert(word.clone()) {
            pieces.push(word);
        }
    }
    let special = pieces.len().min(tokens.saturating_sub(5));
    Vocabulary::new(pieces.into_iter().take(special).map(Some).chain([const { None }; 5]).collect())
}

/// Draws a piece of a word: syllables, for one in ten in another script.
fn word(random: &mut Stream) -> Vec<u8> {
    let mut pick = |choices: &[char]| choices[random.below(choices.len() as u64) as usize];
    let consonants: Vec<char> = "bcdfghjklmnprstvwz".chars().collect();
    let vowels: Vec<char> = "aeiouy".chars().collect();
    let others: Vec<char> = ('а'..='я').chain('ぁ'..='ん').chain('一'..='世').collect();
    let is_other = pick(&['n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'y']) == 'y';
    let mut word = String::new();
    for _ in 0..(pick(&['1', '2', '2', '3', '4']) as u32 - '0' as u32) {
        if is_other {
            word.push(pick(&others));
        } else {
            word.extend([pick(&consonants), pick(&vowels)]);
            word.extend(Some(pick(&consonants)).filter(|&consonant| consonant > 'k'));
        }
    }
    match pick(&['w', 'w', 's', 's', 's', 's', 'C', 'S', 'q', '_']) {
        's' => format!(" {word}"),
        'C' => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
        'S' => format!(" {}", word.to_uppercase()),
        'q' => format!("\"{word}"),
        '_' => format!("_{word}"),
        _ => word,
    }
    .into_bytes()
}
