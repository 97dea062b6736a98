//! The tests of `llada-core` that need more than one module: one binary.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod golden;
mod laws;
mod oracles;
mod plan;
mod policy;
