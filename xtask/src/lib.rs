//! The modules that the chores share with `fetch-weights`. That is a separate program, because its TLS and hashes take nearly
//! as long to build as all of xtask, and the demo should not have to wait for them.

#![allow(clippy::print_stderr, reason = "a binary talks to its user by printing")]

pub mod disk;
pub mod failure;
pub mod fetch;
pub mod memory;
pub mod process;
pub mod style;
