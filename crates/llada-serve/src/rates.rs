//! How many requests the owner of a key may send: a bucket, which holds a minute's worth and is filled at an even rate.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const MINUTE: f64 = 60.0;

/// The buckets of those whose requests are limited, by their names.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<BTreeMap<Arc<str>, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// The requests that may be sent at the time `since`.
    left: f64,
    since: Instant,
}

impl Rates {
    /// Takes a request of `owner` out of its bucket at the time `now`.
    ///
    /// # Errors
    /// If the bucket is empty, with the time after which a request is in it.
    pub(crate) fn take(&self, owner: &Arc<str>, per_minute: NonZeroU32, now: Instant) -> Result<(), Duration> {
        let (size, rate) = (f64::from(per_minute.get()), f64::from(per_minute.get()) / MINUTE);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(Arc::clone(owner)).or_insert(Bucket { left: size, since: now });
        let elapsed = now.saturating_duration_since(bucket.since).as_secs_f64();
        *bucket = Bucket { left: size.min(bucket.left + rate * elapsed), since: bucket.since.max(now) };
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / rate));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_minutes_worth_and_is_filled_evenly() {
        let (rates, start, limit) = (Rates::default(), Instant::now(), NonZeroU32::new(6).unwrap());
        let [ada, bob]: [Arc<str>; 2] = ["ada", "bob"].map(Arc::from);
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..6 {
            assert_eq!(rates.take(&ada, limit, start), Ok(()));
        }
        assert_eq!(rates.take(&ada, limit, start), Err(Duration::from_secs(10)));
        assert_eq!(rates.take(&bob, limit, start), Ok(()));
        assert_eq!(rates.take(&ada, limit, at(4)), Err(Duration::from_secs(6)));
        // One request is filled in after ten seconds, and after an hour no more than a minute's worth.
        assert_eq!(rates.take(&ada, limit, at(10)), Ok(()));
        assert!(rates.take(&ada, limit, at(10)).is_err());
        assert_eq!((0..9).filter(|_| rates.take(&ada, limit, at(3600)).is_ok()).count(), 6);
    }
}
