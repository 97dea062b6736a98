//! Languages of byte strings: how they are put together, and the automata that accept them.

mod dfa;
mod language;
mod minimise;
mod nfa;
mod partition;
mod product;

pub(crate) use dfa::{ByteDfa, DEAD};
pub(crate) use language::{Item, Language};
pub(crate) use partition::Partition;
