//! The tests of `llada-tasks` over all tasks: one binary.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod golden;
mod laws;
