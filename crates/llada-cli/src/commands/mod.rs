//! The commands, one file each: its arguments, and what it calls and prints.

pub(crate) mod batch;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod logits;
pub(crate) mod score;
