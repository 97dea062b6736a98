//! Patterns as automata over the tokens of a language model: regular expressions, choices and JSON schemas.
//!
//! A [`Pattern`] describes a set of texts. Compiled for a [`Vocabulary`], it becomes a
//! [`TokenDfa`](llada_core::automaton::TokenDfa), which accepts exactly the token strings whose bytes, one after the other,
//! are such a text. All patterns are regular languages: a schema that refers to itself is unfolded to a depth.
//!
//! ```
//! use llada_grammar::{Limits, Pattern, Spelling, Vocabulary};
//!
//! let pieces = ["y", "es", "no", "yes", "Ġ"];
//! let vocabulary = Vocabulary::from_pieces(Spelling::ByteLevel, (0..).zip(pieces))?;
//! let automaton = Pattern::choice(["yes", "no"]).compile(&vocabulary, &Limits::default())?;
//! assert!(automaton.accepts(&[0, 1]) && automaton.accepts(&[3]) && automaton.accepts(&[2]));
//! assert!(!automaton.accepts(&[0]) && !automaton.accepts(&[2, 4]));
//! # Ok::<(), llada_grammar::GrammarError>(())
//! ```
//!
//! | subject | module |
//! |---|---|
//! | what texts are allowed | `pattern` |
//! | JSON schemas | `schema` |
//! | regular expressions | `regex` |
//! | languages of byte strings and their automata | `bytes` |
//! | the bytes of tokens | `vocabulary` |
//! | from bytes to tokens | `compile` |
//! | what a compilation may cost | `limits` |
//! | patterns that are compiled once | `grammars` |
#![forbid(unsafe_code)]

mod bytes;
mod compile;
mod error;
mod grammars;
mod limits;
mod pattern;
mod regex;
mod schema;
mod text;
mod vocabulary;

pub use error::GrammarError;
pub use grammars::Grammars;
pub use limits::Limits;
pub use pattern::Pattern;
pub use schema::{Json, JsonOptions, Whitespace};
pub use vocabulary::{Spelling, Vocabulary};

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
