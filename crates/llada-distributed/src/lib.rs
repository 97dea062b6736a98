//! Training of LLaDA (arXiv 2502.09992) by several processes, on one machine or on several.
//!
//! ```text
//! torchrun, Slurm, llada launch ─► Environment ─► ProcessGroup ─► C10dCollective ─► Run::open_with
//! ```
//!
//! The processes are told of each other by the environment variables of torchrun, and speak through libtorch's own
//! c10d: by gloo what is in the memory of their machines, and by NCCL what is on CUDA devices.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod c10d;
mod collective;
mod environment;
mod error;
mod group;

pub use collective::C10dCollective;
pub use environment::Environment;
pub use error::DistributedError;
pub use group::{ProcessGroup, Work};
