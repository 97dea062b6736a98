//! A story of at least two sentences that contains two or three given words. Any such story is right.

use llada_core::rng::Stream;

use crate::{
    Example, Split, SyntheticTask, pick,
    words::{CREATURES, FEELINGS, PLACES, THINGS},
};

const WORDINGS: [&str; 5] = [
    "Write a short story with the words {}.",
    "Tell me a story that contains {}.",
    "Make up a little story with these words: {}.",
    "Use the words {} in a story.",
    "A short story, please, with {} in it.",
];

const ROLES: [(&str, [&str; 24]); 4] =
    [("[creature]", CREATURES), ("[thing]", THINGS), ("[place]", PLACES), ("[feeling]", FEELINGS)];

const PLOTS: [&str; 6] = [
    "One day a [creature] found a [thing] near the [place]. It felt [feeling].",
    "A [creature] carried a [thing] to the [place]. Everyone there was [feeling].",
    "In the [place] lived a [creature] with a [thing]. It was never [feeling].",
    "The [creature] lost its [thing] at the [place]. It went home [feeling].",
    "A [creature] hid a [thing] behind the [place]. Nobody was [feeling] after that.",
    "At night the [creature] left the [place] with a [thing]. The moon looked [feeling].",
];

pub(crate) struct Story;

impl SyntheticTask for Story {
    fn name(&self) -> &'static str {
        "story"
    }

    fn levels(&self) -> u64 {
        2
    }

    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example> {
        let cast = ROLES.map(|(role, words)| (role, *pick::one(stream, &words)));
        let given: Vec<&str> =
            pick::several(stream, &cast, 2 + level as usize).into_iter().map(|(_, word)| word).collect();
        let mut sorted = given.clone();
        sorted.sort_unstable();
        let content = sorted.join(", ");
        if Split::of(&content) != split {
            return None;
        }
        let mut answer = (*pick::one(stream, &PLOTS)).to_owned();
        for (role, word) in cast {
            answer = answer.replace(role, word);
        }
        let prompt = pick::worded(stream, &WORDINGS, &given.join(", "));
        Some(Example::new(content, prompt, answer).story_with(&given))
    }
}
