//! The shares that owners of jobs have in the engine's work: equal ones, as long as they have jobs.
//!
//! This is start-time fair queueing ([Goyal et al., 1996](https://doi.org/10.1145/248156.248171)). Each owner has a virtual
//! time, which advances with the work that is done for it, and the owner with the smallest one is served next. An owner that
//! returns starts at the virtual time of the others, so that idleness earns no credit.

use std::{collections::BTreeMap, sync::Arc};

/// The name of a key's owner, or none where there are no keys.
pub(crate) type Owner = Option<Arc<str>>;

/// The virtual times of the owners that have jobs.
#[derive(Debug, Default)]
pub(super) struct Shares {
    owners: BTreeMap<Owner, Share>,
    /// The virtual time of the owner that was served last.
    now: u64,
}

#[derive(Debug)]
struct Share {
    /// In tokens that were computed.
    time: u64,
    jobs: usize,
}

impl Shares {
    /// Adds a job of an owner.
    pub(super) fn join(&mut self, owner: &Owner) {
        let now = self.now;
        self.owners.entry(owner.clone()).or_insert(Share { time: now, jobs: 0 }).jobs += 1;
    }

    /// Removes a job of an owner.
    pub(super) fn leave(&mut self, owner: &Owner) {
        let Some(share) = self.owners.get_mut(owner) else { return };
        share.jobs -= 1;
        if share.jobs == 0 {
            self.owners.remove(owner);
        }
    }

    /// Returns the virtual time of an owner with jobs.
    pub(super) fn time(&self, owner: &Owner) -> u64 {
        self.owners.get(owner).map_or(self.now, |share| share.time)
    }

    /// Records that so many tokens were computed for an owner.
    pub(super) fn charge(&mut self, owner: &Owner, tokens: usize) {
        if let Some(share) = self.owners.get_mut(owner) {
            self.now = self.now.max(share.time);
            share.time += tokens as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_shared_by_owners_and_not_by_jobs() {
        let [ada, bob]: [Owner; 2] = ["ada", "bob"].map(|name| Some(name.into()));
        let mut shares = Shares::default();
        (0..9).for_each(|_| shares.join(&ada));
        (0..50).for_each(|_| shares.charge(&ada, 10));
        shares.join(&bob);
        let mut served = [0_i32; 2];
        for _ in 0..100 {
            let next = usize::from(shares.time(&bob) < shares.time(&ada));
            // Bob's steps are three times as long.
            shares.charge([&ada, &bob][next], [10, 30][next]);
            served[next] += [10, 30][next];
        }
        assert!(served[0].abs_diff(served[1]) <= 30, "{served:?}");
        shares.leave(&bob);
        (0..50).for_each(|_| shares.charge(&ada, 10));
        shares.join(&bob);
        assert!(shares.time(&bob) + 10 >= shares.time(&ada), "idleness earns no credit");
    }
}
