//! `fetch-weights` as its user meets it, against a hub of the tests' own on this machine. No network is used.

#![allow(clippy::unwrap_used, reason = "a helper of tests that cannot do its part ends the test")]

mod cache;
mod faults;
mod hub;
mod interrupts;
mod python;
mod refusals;
mod sandbox;
