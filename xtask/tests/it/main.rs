//! xtask as its user meets it: a process with an environment, its output and its exit code. No network is used.

#![allow(clippy::unwrap_used, reason = "a helper of tests that cannot do its part ends the test")]

mod deploy;
mod doctor;
mod gpu;
mod sandbox;
mod setup;
mod weights;
