//! What a compilation may cost, and the checks in its loops.

use std::time::{Duration, Instant};

use crate::GrammarError;

/// Bounds on the compilation of one pattern. Each ends in an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of states of the automaton over tokens.
    pub states: usize,
    /// The largest size of each automaton, in bytes: the one over bytes while it is built, and the edges of the one over
    /// tokens.
    pub dfa_bytes: usize,
    /// The longest time that compilation may take.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { states: 16_384, dfa_bytes: 64 << 20, time: Duration::from_secs(10) }
    }
}

/// The limits of a compilation that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    limits: Limits,
    start: Instant,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, start: Instant::now() }
    }

    /// Refuses a number of states above the limit.
    pub(crate) fn check_states(&self, states: usize) -> Result<(), GrammarError> {
        let limit = self.limits.states;
        if states <= limit { Ok(()) } else { Err(GrammarError::TooManyStates { limit }) }
    }

    /// Refuses a size above the limit.
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), GrammarError> {
        let limit = self.limits.dfa_bytes;
        if bytes <= limit { Ok(()) } else { Err(GrammarError::TooLarge { limit }) }
    }

    /// Refuses to go on when the time is over.
    pub(crate) fn check_time(&self) -> Result<(), GrammarError> {
        let limit = self.limits.time;
        if self.start.elapsed() <= limit { Ok(()) } else { Err(GrammarError::TooSlow { limit }) }
    }
}
