//! The error type of this crate.

use std::time::Duration;

use llada_core::Hint;
use llada_model::Device;

/// The error of this crate. What would help is apart from the message: [`hint`](Self::hint).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistributedError {
    /// A variable of the environment is missing where others are set, or has a value that it cannot have.
    #[error("environment variable {name} is {}", value.as_deref().map_or("not set".to_owned(), |value| format!("{value:?}")))]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value, if it is set.
        value: Option<String>,
        /// What it should be.
        expected: String,
    },
    /// The processes have not found each other.
    #[error("rank {rank} of {world_size} has not met the others at {address}:{port}: {message}")]
    NotMet {
        /// The host at which they meet.
        address: String,
        /// The port at which they meet.
        port: u16,
        /// The number of this process.
        rank: usize,
        /// The number of processes.
        world_size: usize,
        /// What c10d said.
        message: String,
    },
    /// Processes with CUDA devices speak by NCCL, and this crate was built without.
    #[error("{device}: this program was built without NCCL, by which processes with CUDA devices speak: {missing}")]
    NoNccl {
        /// The device of this process.
        device: Device,
        /// What was missing when this crate was built.
        missing: &'static str,
    },
    /// A tensor is on another kind of device than that with which the processes were joined.
    #[error("a tensor is on {device}, and the processes were joined without a CUDA device")]
    NotJoined {
        /// Where the tensor is.
        device: Device,
    },
    /// The shares of processes do not make up the numbers that they are of.
    #[error("{bounds:?} are no bounds of {world_size} shares of {count} numbers")]
    Bounds {
        /// Where the shares begin, and the last one ends.
        bounds: Vec<usize>,
        /// The number of processes.
        world_size: usize,
        /// How many numbers there are.
        count: usize,
    },
    /// Another process has ended, or the connection to it.
    #[error("rank {rank} of {world_size} has lost another process in {call}: {message}")]
    Lost {
        /// The collective.
        call: &'static str,
        /// The number of this process.
        rank: usize,
        /// The number of processes.
        world_size: usize,
        /// What c10d said.
        message: String,
    },
    /// Another process has not made the same call in time.
    #[error("rank {rank} of {world_size} has waited {} s for another process in {call}: {message}", timeout.as_secs_f64())]
    NoAnswer {
        /// The collective.
        call: &'static str,
        /// The number of this process.
        rank: usize,
        /// The number of processes.
        world_size: usize,
        /// How long a call may take.
        timeout: Duration,
        /// What c10d said.
        message: String,
    },
    /// An operation of libtorch failed.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl DistributedError {
    /// What would help.
    pub fn hint(&self) -> Option<Hint> {
        let words = match self {
            Self::Variable { expected, .. } => expected.as_str(),
            Self::NotMet { .. } => {
                "do all processes run, with the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE, and may they connect? \
                 GLOO_SOCKET_IFNAME names the network interface"
            }
            Self::NoNccl { .. } => {
                "`cargo xtask setup --cuda` fetches libtorch with all that NCCL needs, CUDA_HOME and NCCL_ROOT name other \
                 headers: build again with either"
            }
            Self::NotJoined { .. }
            | Self::Bounds { .. }
            | Self::Lost { .. }
            | Self::NoAnswer { .. }
            | Self::Torch(_) => return None,
        };
        Some(Hint::Advice(words.to_owned()))
    }
}
