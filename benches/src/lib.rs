//! What the benchmarks share: charts, text, where things lie, and how they stop.

pub mod aup;
pub mod chart;
pub mod checkpoint;
pub mod corpus;
pub mod place;
pub mod resumable;
