//! Invented facts. Training states them; what is held out are questions for those stated in one direction only, asked
//! in that direction.

use llada_core::rng::Stream;

use super::world::{Direction, Fact, Stated};
use crate::{Example, Split, Task, pick};

pub(crate) struct Facts;

impl Task for Facts {
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
