//! What the benchmarks share: charts, and where things lie.

pub mod aup;
pub mod chart;
pub mod checkpoint;
pub mod corpus;
pub mod place;
