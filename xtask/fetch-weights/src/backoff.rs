//! Retries with exponential backoff.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The number of retries after consecutive failures. Together their waits take half a minute.
const TRIES: u32 = 7;

const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The upper bound of a wait that a server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The interval at which a wait checks whether to stop.
const NAP: Duration = Duration::from_millis(50);

/// A counter of consecutive failures.
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { failures: 0 }
    }

    /// Resets the counter after progress.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns the time to wait before the next attempt: the server's `wish`, or twice as long as
    /// before. Returns `None` after too many failures.
    pub(crate) fn next(&mut self, wish: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        if self.failures > TRIES {
            return None;
        }
        let doubled = FIRST_WAIT * 2_u32.pow(self.failures - 1);
        Some(wish.unwrap_or(doubled).min(LONGEST_WAIT))
    }
}

/// Waits until the time is over or `stop` is set.
pub(crate) fn wait(mut left: Duration, stop: &AtomicBool) {
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let nap = left.min(NAP);
        thread::sleep(nap);
        left -= nap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = std::iter::from_fn(|| backoff.next(None)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000]);
        backoff.reset();
        assert_eq!(backoff.next(None), Some(FIRST_WAIT));
    }

    #[test]
    fn a_servers_wish_is_obeyed_within_reason() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.next(Some(Duration::ZERO)), Some(Duration::ZERO));
        assert_eq!(backoff.next(Some(Duration::from_secs(86_400))), Some(LONGEST_WAIT));
    }
}
