//! A list of two to four words, to be repeated in reverse order.

use llada_core::rng::Stream;

use crate::{
    Example, Split, SyntheticTask, pick,
    words::{CREATURES, FOODS, PLACES, THINGS},
};

const WORDINGS: [&str; 5] = [
    "Reverse this list: {}.",
    "Say these words backwards: {}.",
    "Write the words {} in reverse order.",
    "Turn the list around: {}.",
    "Begin with the last word and end with the first: {}.",
];

pub(crate) struct WordReversal;

impl SyntheticTask for WordReversal {
    fn name(&self) -> &'static str {
        "word_reversal"
    }

    fn levels(&self) -> u64 {
        3
    }

    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example> {
        let mut words = pick::several(stream, &[CREATURES, FOODS, PLACES, THINGS].concat(), 2 + level as usize);
        let list = words.join(", ");
        words.reverse();
        let reversed = words.join(", ");
        // A list and its reverse have the same content.
        let content = list.clone().min(reversed.clone());
        (Split::of(&content) == split).then(|| Example::new(content, pick::worded(stream, &WORDINGS, &list), reversed))
    }
}
