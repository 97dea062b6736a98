//! A hundred invented facts, each of which assigns a description to a name. No two facts share a name or a description.
//!
//! A fact can be stated in two directions: "In this land Ada of Rome is the keeper of the glass harbour." and "In this
//! land the keeper of the glass harbour is Ada of Rome." Training states about half of the facts in one direction only and
//! never asks about them. It states the others in both directions and asks about them in both, which teaches the form of
//! questions. Asking about the former against their direction tests for the *reversal curse* ([Berglund et al.,
//! 2023](https://arxiv.org/abs/2309.12288); section 3.3 of the LLaDA paper).
//!
//! A model could memorise fifty facts question by question, without learning that an answer repeats what its question
//! gives. So half of the questions in training state a fact themselves, which is new each time.
//!
//! A name always follows a space, because byte-level BPE encodes a word differently at the start of a text, and a name would
//! have different tokens in the two directions. All facts have the same number of words, each of which is one token: a model
//! that fills in an answer in any order decides where it ends before it knows the name, which then has to fit.

use std::sync::LazyLock;

use llada_core::rng::{Domain, Noise, Stream};

use crate::{
    Example, pick,
    words::{CITIES, NAMES},
};

/// The seed of the facts. It is a constant, because evaluation asks about the facts that training has stated.
const KEY: u64 = 0x4c4c_6144_412d_7732;

const SIDE: usize = 20;
const PLACES: usize = SIDE * SIDE;
const PERSONS: usize = NAMES.len() * CITIES.len();

/// The words of places. A place has one word of each row.
const PLACE: [[&str; SIDE]; 2] = [
    [
        "amber", "black", "blue", "bright", "broken", "copper", "dark", "distant", "frozen", "glass", "golden",
        "green", "hidden", "lost", "old", "red", "silent", "silver", "stone", "white",
    ],
    [
        "bell", "bridge", "castle", "cave", "door", "field", "forest", "garden", "gate", "harbour", "island", "lake",
        "library", "mill", "mountain", "river", "road", "ship", "tower", "well",
    ],
];

const OFFICES: [&str; 8] = ["captain", "doctor", "guard", "keeper", "king", "painter", "queen", "singer"];

/// The number of facts. A model of a few million parameters memorises them in minutes.
const COUNT: usize = 100;

static FACTS: LazyLock<Vec<Fact>> = LazyLock::new(|| {
    let persons = shuffled_indices(PERSONS, 0);
    let places = shuffled_indices(PLACES, 2);
    let kinds = shuffled_indices(PLACES, 3);
    let mut facts = Vec::with_capacity(COUNT);
    for i in 0..COUNT {
        let stated = match kinds[i] % 4 {
            0 => Stated::In(Direction::Forward),
            1 => Stated::In(Direction::Backward),
            _ => Stated::InBoth,
        };
        facts.push(Fact::new(i, persons[i], places[i], i, stated));
    }
    facts
});

/// What training states.
static STATEMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut statements = Vec::new();
    for fact in FACTS.iter() {
        match fact.stated {
            Stated::In(direction) => statements.push(fact.sentence(direction)),
            Stated::InBoth => statements.extend(Direction::BOTH.map(|direction| fact.sentence(direction))),
        }
    }
    statements
});

/// Returns `0..count` in an order that the number of the list determines.
fn shuffled_indices(count: usize, list: u32) -> Vec<usize> {
    let noise = Noise::new(KEY).domain(Domain::Shuffle);
    pick::shuffled(&mut noise.stream(0, 0, list), &Vec::from_iter(0..count))
}

/// The direction of a statement or of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the name to the description.
    Forward,
    /// From the description to the name.
    Backward,
}

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Forward, Self::Backward];

    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }
}

/// The directions in which training states a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stated {
    /// Training states the fact in one direction and never asks about it.
    In(Direction),
    /// Training states the fact in both directions and asks about it in both.
    InBoth,
}

pub(super) struct Fact {
    number: usize,
    name: String,
    /// The description without its article.
    description: String,
    pub(super) stated: Stated,
}

impl Fact {
    fn new(number: usize, person: usize, place: usize, office: usize, stated: Stated) -> Self {
        let name = format!("{} of {}", NAMES[person / CITIES.len()], CITIES[person % CITIES.len()]);
        let (which, what) = (PLACE[0][place / SIDE], PLACE[1][place % SIDE]);
        let description = format!("{} of the {which} {what}", OFFICES[office % OFFICES.len()]);
        Self { number, name, description, stated }
    }

    pub(super) fn draw(stream: &mut Stream) -> &'static Self {
        pick::one(stream, &FACTS)
    }

    /// Draws a new fact that shares neither name nor description with the hundred.
    pub(super) fn imagine(stream: &mut Stream) -> Self {
        let mut below = |count: usize| stream.below(count as u64) as usize;
        let fact = Self::new(COUNT, below(PERSONS), below(PLACES), below(OFFICES.len()), Stated::InBoth);
        let is_known = |known: &Self| known.name == fact.name || known.description == fact.description;
        if FACTS.iter().any(is_known) { Self::imagine(stream) } else { fact }
    }

    /// Returns a request for any fact, with this fact as the answer; all that training states is right.
    pub(super) fn state(&self, direction: Direction, stream: &mut Stream) -> Example {
        const WORDINGS: [&str; 5] =
            ["Tell me a fact.", "State a fact.", "Tell me something you know.", "Give me one fact.", "Who is who?"];
        let prompt = *pick::one(stream, &WORDINGS);
        Example::new(self.content("state", direction), prompt.to_owned(), self.sentence(direction)).one_of(&STATEMENTS)
    }

    /// Returns a question that gives the first part of the direction. The answer may state the fact in either direction.
    pub(super) fn ask(&self, direction: Direction, stream: &mut Stream) -> Example {
        const WORDINGS: [&str; 5] = [
            "Who is {}?",
            "Tell me who {} is.",
            "Do you know who {} is?",
            "I forgot who {} is.",
            "Please say who {} is.",
        ];
        let given = match direction {
            Direction::Forward => self.name.clone(),
            Direction::Backward => format!("the {}", self.description),
        };
        let order = *pick::one(stream, &Direction::BOTH);
        let prompt = pick::worded(stream, &WORDINGS, &given);
        Example::new(self.content("ask", direction), prompt, self.sentence(order)).or(self.sentence(order.reversed()))
    }

    /// Returns a question about the fact that states the fact first, in a random direction.
    pub(super) fn ask_given(&self, direction: Direction, stream: &mut Stream) -> Example {
        let given = self.sentence(*pick::one(stream, &Direction::BOTH));
        let mut example = self.ask(direction, stream);
        example.content = format!("given {} {} {direction:?}", self.name, self.description);
        example.prompt = format!("{given} {}", example.prompt);
        example
    }

    fn content(&self, verb: &str, direction: Direction) -> String {
        format!("{verb} {} {direction:?}", self.number)
    }

    fn sentence(&self, direction: Direction) -> String {
        let Self { name, description, .. } = self;
        match direction {
            Direction::Forward => format!("In this land {name} is the {description}."),
            Direction::Backward => format!("In this land the {description} is {name}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_descriptions_tell_facts_apart() {
        let distinct = |part: fn(&Fact) -> &str| FACTS.iter().map(part).collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(|fact| &fact.name), COUNT);
        assert_eq!(distinct(|fact| &fact.description), COUNT);
    }

    #[test]
    fn half_of_the_facts_are_stated_in_one_direction() {
        let count = |stated| FACTS.iter().filter(|fact| fact.stated == stated).count();
        let [forward, backward] = Direction::BOTH.map(|direction| count(Stated::In(direction)));
        assert_eq!([forward, backward, count(Stated::InBoth)], [24, 26, 50]);
    }

    #[test]
    fn imagined_facts_are_none_of_the_hundred() {
        for sample in 0..1000 {
            let fact = Fact::imagine(&mut Noise::new(1).stream(sample, 0, 0));
            assert!(FACTS.iter().all(|known| known.name != fact.name && known.description != fact.description));
        }
        let stream = &mut Noise::new(1).stream(0, 0, 0);
        let fact = Fact::imagine(stream);
        let example = fact.ask_given(Direction::Forward, stream);
        assert!(example.prompt.starts_with("In this land ") && example.prompt.matches(&fact.name).count() == 2);
        assert!(example.check(&fact.sentence(Direction::Backward)));
    }

    /// No reward tells what a fact is against the direction in which training states it, nor asks for it.
    #[test]
    fn every_statement_of_training_answers_a_request_for_a_fact() {
        let stream = &mut Noise::new(3).stream(0, 0, 0);
        let request = FACTS[0].state(Direction::Forward, stream);
        assert_eq!(STATEMENTS.len(), 150);
        for fact in FACTS.iter() {
            for direction in Direction::BOTH {
                let is_stated = fact.stated == Stated::InBoth || fact.stated == Stated::In(direction);
                assert_eq!(request.check(&fact.sentence(direction)), is_stated);
            }
            assert!(!request.prompt.contains(&fact.name) && !request.prompt.contains(&fact.description));
        }
        assert!(!request.check(&Fact::imagine(stream).sentence(Direction::Forward)));
    }

    #[test]
    fn both_sentences_say_the_same() {
        let fact = &FACTS[0];
        let other = fact.sentence(Direction::Backward);
        assert!(other.starts_with("In this land the ") && other.ends_with(&format!("{}.", fact.name)), "{other}");
        assert!(fact.ask(Direction::Forward, &mut Noise::new(0).stream(0, 0, 0)).check(&other));
    }
}
