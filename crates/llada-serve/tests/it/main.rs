//! The server over a real socket, with llada-tiny.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod answers;
mod constraints;
mod decisions;
mod echo;
mod fair;
mod gaps;
mod native;
mod page;
mod refusals;
mod server;
mod streams;
mod tools;
