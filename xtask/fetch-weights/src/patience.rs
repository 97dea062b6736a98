//! How often something is tried again, and how long to wait before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// After as many failures in a row there is no point in going on. Together the waits come to half a minute.
const TRIES: u32 = 7;

const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest that a server's wish is obeyed.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How soon it is noticed that all work is to end.
const NAP: Duration = Duration::from_millis(50);

/// Failures in a row.
pub(crate) struct Patience {
    failures: u32,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { failures: 0 }
    }

    /// Something was achieved: the next failure is the first again.
    pub(crate) fn renew(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after another failure, at the server's wish or else twice as long each time; nothing once there
    /// were too many.
    pub(crate) fn next(&mut self, wish: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        (self.failures <= TRIES).then(|| wish.unwrap_or(FIRST_WAIT * 2_u32.pow(self.failures - 1)).min(LONGEST_WAIT))
    }
}

/// Waits, unless all work is to end.
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
        let mut patience = Patience::new();
        let waits: Vec<_> = std::iter::from_fn(|| patience.next(None)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000]);
        patience.renew();
        assert_eq!(patience.next(None), Some(FIRST_WAIT));
    }

    #[test]
    fn a_servers_wish_is_obeyed_within_reason() {
        let mut patience = Patience::new();
        assert_eq!(patience.next(Some(Duration::ZERO)), Some(Duration::ZERO));
        assert_eq!(patience.next(Some(Duration::from_secs(86_400))), Some(LONGEST_WAIT));
    }
}
