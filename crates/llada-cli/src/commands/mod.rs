//! The commands, one file each: its arguments, and what it calls and prints.

pub(crate) mod batch;
pub(crate) mod compare;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod logits;
pub(crate) mod quantize;
pub(crate) mod score;
pub(crate) mod tasks;
pub(crate) mod tokenizer;
pub(crate) mod training;
