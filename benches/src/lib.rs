//! What the benchmarks share: charts, and where things lie.

pub mod aup;
pub mod chart;
pub mod checkpoint;
pub mod place;

/// The Rust code of the book is a test; no other package sees all that it uses.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/rust.md")]
struct Book;

/// And so is that of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
