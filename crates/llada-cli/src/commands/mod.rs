//! The commands. Each file has the arguments of a command, and the code that calls the libraries and prints the result.

pub(crate) mod adapter;
pub(crate) mod batch;
pub(crate) mod chat;
pub(crate) mod checkpoint;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod decide;
pub(crate) mod eval;
pub(crate) mod filter;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod launch;
pub(crate) mod logits;
pub(crate) mod plan;
pub(crate) mod quantize;
mod questions;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod tasks;
pub(crate) mod tokenizer;
pub(crate) mod training;
