//! The threads that download several files at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use crate::client::Client;
use crate::destination::Destination;
use crate::download::Download;
use crate::plan::Plan;
use crate::progress::Progress;

/// The number of connections. More seldom make a download faster, and the hub limits them.
const HANDS: usize = 4;

/// Downloads every file of the plan. The first permanent failure stops the other downloads; received data are kept.
pub(crate) fn download(client: &Client, commit: &str, plan: &Plan, destination: &Destination) -> Result<()> {
    let _held = destination.hold(&client.request)?;
    let files = plan.jobs.iter().map(Vec::len).sum();
    let progress = Progress::new(files, plan.download)?;
    let download = Download { client, commit, destination, progress, stop: AtomicBool::new(false) };
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(files) = plan.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            for file in files {
                let outcome = download.bring(file);
                if outcome.is_err() {
                    download.stop.store(true, Ordering::Relaxed);
                    return outcome;
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS.min(plan.jobs.len())).map(|_| scope.spawn(work)).collect();
        let ends = hands.into_iter().map(|hand| hand.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))));
        // All threads are joined, even if one fails.
        ends.collect::<Vec<_>>().into_iter().collect()
    })
}
