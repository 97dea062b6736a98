//! What the chores share with `fetch-weights`, which is a program of its own: its TLS and its hashes take nearly
//! as long to build as all of xtask, and who only wants the demo should not wait for them.

#![allow(clippy::print_stderr, reason = "a binary talks to its user by printing")]

pub mod disk;
pub mod failure;
pub mod fetch;
pub mod process;
pub mod style;
