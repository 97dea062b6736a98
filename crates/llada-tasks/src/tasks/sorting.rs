//! Two to four different numbers below a hundred, to be sorted in ascending order.

use llada_core::rng::Stream;

use crate::{Example, Split, SyntheticTask, pick};

const WORDINGS: [&str; 5] = [
    "Sort these numbers: {}.",
    "Put these numbers in order: {}.",
    "Sort {} from smallest to largest.",
    "Order the numbers {} from low to high.",
    "List {} in ascending order.",
];

pub(crate) struct Sorting;

impl SyntheticTask for Sorting {
    fn name(&self) -> &'static str {
        "sorting"
    }

    fn levels(&self) -> u64 {
        3
    }

    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example> {
        let numbers = pick::several(stream, &Vec::from_iter(0..100_u32), 2 + level as usize);
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let content = list(&sorted);
        (Split::of(&content) == split).then(|| {
            let prompt = pick::worded(stream, &WORDINGS, &list(&numbers));
            let others = numbers.len() - 1;
            Example::new(content.clone(), prompt, content).of_form(format!("[0-9]{{1,2}}(, [0-9]{{1,2}}){{{others}}}"))
        })
    }
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
