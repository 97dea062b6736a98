//! Invented facts. Training states them. The held-out questions ask about facts that are stated in one direction only, in
//! that direction.

use llada_core::rng::Stream;

use super::world::{Direction, Fact, Stated};
use crate::{Example, Split, SyntheticTask, pick};

pub(crate) struct Facts;

impl SyntheticTask for Facts {
    fn name(&self) -> &'static str {
        "facts"
    }

    fn draw(&self, split: Split, _level: u64, stream: &mut Stream) -> Option<Example> {
        let fact = Fact::draw(stream);
        match (split, fact.stated) {
            (Split::Train, Stated::In(direction)) => Some(fact.state(direction, stream)),
            (Split::Train, Stated::InBoth) => {
                let direction = *pick::one(stream, &Direction::BOTH);
                Some(fact.state(direction, stream))
            }
            (Split::HeldOut, Stated::In(direction)) => Some(fact.ask(direction, stream)),
            (Split::HeldOut, Stated::InBoth) => None,
        }
    }
}
