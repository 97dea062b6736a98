//! Questions about the facts, against the direction in which training states them.
//!
//! Training asks only about facts that it states in both directions and about facts that the question itself states, in both
//! directions. The held-out questions ask about facts that training states in one direction, in the other direction.

use llada_core::rng::Stream;

use super::world::{Direction, Fact, Stated};
use crate::{Example, Split, SyntheticTask, pick};

pub(crate) struct FactReversal;

impl SyntheticTask for FactReversal {
    fn name(&self) -> &'static str {
        "fact_reversal"
    }

    fn draw(&self, split: Split, _level: u64, stream: &mut Stream) -> Option<Example> {
        if split == Split::Train && stream.below(2) == 0 {
            let direction = *pick::one(stream, &Direction::BOTH);
            return Some(Fact::imagine(stream).ask_given(direction, stream));
        }
        let fact = Fact::draw(stream);
        match (split, fact.stated) {
            (Split::Train, Stated::InBoth) => {
                let direction = *pick::one(stream, &Direction::BOTH);
                Some(fact.ask(direction, stream))
            }
            (Split::HeldOut, Stated::In(direction)) => Some(fact.ask(direction.reversed(), stream)),
            _ => None,
        }
    }
}
