//! A story of two sentences in which two or three given words occur. Any such story will do.

use llada_core::rng::Stream;

use crate::{
    Example, Split, Task, pick,
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

impl Task for Story {
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
        (Split::of(&content) == split).then(|| {
            let told = |story: String, (role, word): (&str, &str)| story.replace(role, word);
            let answer = cast.into_iter().fold((*pick::one(stream, &PLOTS)).to_owned(), told);
            let prompt = pick::worded(stream, &WORDINGS, &given.join(", "));
            Example::new(content, prompt, answer).story_with(&given)
        })
    }
}
