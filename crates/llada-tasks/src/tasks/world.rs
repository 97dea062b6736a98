//! A hundred invented facts: who is what. Every name belongs to one description and every description to one name.
//!
//! A fact can be stated in two directions: "In this land Ada of Rome is the keeper of the glass harbour." and "In this
//! land the keeper of the glass harbour is Ada of Rome." Training states about half of the facts in one direction only and
//! never asks for them; the others it states and asks for in both, which teaches what a question is. Asking for the
//! former against their direction then is the test of the *reversal curse* ([Berglund et al.,
//! 2023](https://arxiv.org/abs/2309.12288); section 3.3 of the LLaDA paper).
//!
//! Fifty facts can be learned by heart, question by question, without learning that an answer says what its question
//! gives. So half of the questions in training state a fact of their own, which is new each time.
//!
//! A name always follows a space, for byte-level BPE spells a word at the start of a text with other tokens: a name would
//! else be two, one for each direction. And all facts are of as many words, each a token of its own: a model that fills
//! an answer in any order settles where it ends before it knows a name, which must then fit.

use std::sync::LazyLock;

use llada_core::rng::{Domain, Noise, Stream};

use crate::{
    Example, pick,
    words::{CITIES, NAMES},
};

/// The facts are the same whatever the seed: evaluation asks for what training has stated.
const KEY: u64 = 0x4c4c_6144_412d_7732;

const SIDE: usize = 20;
const PLACES: usize = SIDE * SIDE;
const PERSONS: usize = NAMES.len() * CITIES.len();

/// What somebody is in charge of joins one of each row.
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

/// As many as a model of a few million parameters learns by heart in minutes.
const COUNT: usize = 100;

static FACTS: LazyLock<Vec<Fact>> = LazyLock::new(|| {
    let noise = Noise::new(KEY).domain(Domain::Shuffle);
    let all = Vec::from_iter(0..PLACES);
    let of_all = |list, all: &[usize]| pick::shuffled(&mut noise.stream(0, 0, list), all);
    let (person, place, stated) = (of_all(0, &Vec::from_iter(0..PERSONS)), of_all(2, &all), of_all(3, &all));
    let fact = |i: usize| {
        let stated = match stated[i] % 4 {
            0 => Stated::In(Direction::Forward),
            1 => Stated::In(Direction::Backward),
            _ => Stated::InBoth,
        };
        Fact::new(i, person[i], place[i], i, stated)
    };
    all.iter().copied().take(COUNT).map(fact).collect()
});

/// Where a statement begins, and what a question gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// With the name.
    Forward,
    /// With the description.
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

/// How training states a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stated {
    /// In one direction, and never asks for it.
    In(Direction),
    /// In both directions, and asks for it in both.
    InBoth,
}

pub(super) struct Fact {
    number: usize,
    name: String,
    /// Without its article.
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

    /// A fact that is none of the hundred, new each time.
    pub(super) fn imagine(stream: &mut Stream) -> Self {
        let mut below = |count: usize| stream.below(count as u64) as usize;
        let fact = Self::new(COUNT, below(PERSONS), below(PLACES), below(OFFICES.len()), Stated::InBoth);
        let is_known = |known: &Self| known.name == fact.name || known.description == fact.description;
        if FACTS.iter().any(is_known) { Self::imagine(stream) } else { fact }
    }

    /// A request for any fact, answered with this one.
    pub(super) fn state(&self, direction: Direction, stream: &mut Stream) -> Example {
        const WORDINGS: [&str; 5] =
            ["Tell me a fact.", "State a fact.", "Tell me something you know.", "Give me one fact.", "Who is who?"];
        let prompt = *pick::one(stream, &WORDINGS);
        Example::new(self.content("state", direction), prompt.to_owned(), self.sentence(direction))
    }

    /// A question that gives what the direction begins with. The answer may have either order.
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

    /// Such a question, which states the fact first in a direction of its own.
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

    #[test]
    fn both_sentences_say_the_same() {
        let fact = &FACTS[0];
        let other = fact.sentence(Direction::Backward);
        assert!(other.starts_with("In this land the ") && other.ends_with(&format!("{}.", fact.name)), "{other}");
        assert!(fact.ask(Direction::Forward, &mut Noise::new(0).stream(0, 0, 0)).check(&other));
    }
}
