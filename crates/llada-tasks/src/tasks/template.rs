//! A sentence with two to four gaps, to be filled in with facts that are given in any order.

use llada_core::rng::Stream;

use crate::{
    Example, Split, SyntheticTask, pick,
    words::{CITIES, CREATURES, FOODS, NAMES},
};

/// The names of gaps and the words that may fill them.
const SLOTS: [(&str, [&str; 24]); 4] = [("name", NAMES), ("city", CITIES), ("food", FOODS), ("pet", CREATURES)];

/// Sentences with the first two, the first three, and all four gaps.
const SENTENCES: [[&str; 4]; 3] = [
    [
        "[name] lives in [city].",
        "[name] went to [city] by train.",
        "In [city] there is a shop called [name].",
        "The road to [city] was built by [name].",
    ],
    [
        "[name] from [city] likes [food].",
        "In [city], [name] buys [food] every day.",
        "[name] sells [food] in [city].",
        "The best [food] in [city] is made by [name].",
    ],
    [
        "[name] and a [pet] eat [food] in [city].",
        "In [city], [name] gives [food] to a [pet].",
        "The [pet] of [name] found [food] in [city].",
        "[name] has a [pet] and sells [food] in [city].",
    ],
];

const WORDINGS: [&str; 5] = [
    "Fill in the template: {}",
    "Fill the gaps with these facts: {}",
    "Complete the sentence: {}",
    "Put the facts into the sentence: {}",
    "Replace what stands in brackets: {}",
];

pub(crate) struct Template;

impl SyntheticTask for Template {
    fn name(&self) -> &'static str {
        "template"
    }

    fn levels(&self) -> u64 {
        SENTENCES.len() as u64
    }

    fn draw(&self, split: Split, level: u64, stream: &mut Stream) -> Option<Example> {
        let slots = &SLOTS[..level as usize + 2];
        let facts: Vec<_> = slots.iter().map(|(slot, values)| (*slot, *pick::one(stream, values))).collect();
        let content = listed(&facts);
        if Split::of(&content) != split {
            return None;
        }
        let sentence = *pick::one(stream, &SENTENCES[level as usize]);
        let mut answer = sentence.to_owned();
        let mut form = sentence.replace('.', "\\.");
        for (slot, value) in &facts {
            let gap = format!("[{slot}]");
            answer = answer.replace(&gap, value);
            form = form.replace(&gap, "[A-Za-z]+");
        }
        let question = format!("{sentence} Facts: {}.", listed(&pick::shuffled(stream, &facts)));
        Some(Example::new(content, pick::worded(stream, &WORDINGS, &question), answer).of_form(form))
    }
}

fn listed(facts: &[(&str, &str)]) -> String {
    facts.iter().map(|(slot, value)| format!("{slot} = {value}")).collect::<Vec<_>>().join(", ")
}
