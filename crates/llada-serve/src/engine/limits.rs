//! How much the engine takes on.

use std::{num::NonZeroUsize, time::Duration};

/// How much the engine takes on.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// The number of jobs that advance at the same time.
    pub max_running: NonZeroUsize,
    /// The number of jobs that may wait for their turn.
    pub max_queue: usize,
    /// The number of tokens of a forward, of which one job's may be more.
    pub max_step_tokens: usize,
    /// The memory for the caches of running jobs, in bytes.
    pub max_cache_bytes: usize,
    /// The longest time that a generation runs before it is hurried to its end.
    pub max_request_time: Duration,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_running: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
            max_queue: 256,
            // As many as pass through the layers together on a processor. With more, jobs would wait for one another in vain.
            max_step_tokens: 256,
            max_cache_bytes: 4 << 30,
            max_request_time: Duration::from_secs(600),
        }
    }
}
