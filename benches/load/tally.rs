//! What came of all visits.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::ensure;

use crate::clients::{Kind, Outcome};

/// By how much the memory of the last minute may exceed that of the first.
const MAX_GROWTH: f64 = 0.05;

/// The outcomes so far.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    answered: BTreeMap<Kind, usize>,
    refused: BTreeMap<u16, usize>,
    gone: usize,
    ending: usize,
    wrong: Vec<String>,
    seconds: Vec<f64>,
    first: Vec<f64>,
}

impl Tally {
    pub(crate) fn record(&self, kind: Kind, outcome: Outcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Answered { seconds, first } => {
                *counts.answered.entry(kind).or_default() += 1;
                counts.seconds.push(seconds);
                // How slowly a client reads is not the server's doing.
                counts.first.extend(first.filter(|_| kind == Kind::Stream));
            }
            Outcome::Refused(status) => *counts.refused.entry(status).or_default() += 1,
            Outcome::Gone => counts.gone += 1,
            Outcome::Ending => counts.ending += 1,
            Outcome::Wrong(what) => counts.wrong.push(format!("{kind:?}: {what}")),
        }
    }

    pub(crate) fn line(&self) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answered: usize = counts.answered.values().sum();
        let refused: usize = counts.refused.values().sum();
        format!("{answered} answered, {refused} refused, {} gone, {} wrong", counts.gone, counts.wrong.len())
    }

    pub(crate) fn report(&self, memory: &[(Duration, u64)]) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        println!(
            "answered {:?}, refused {:?}, gone {}, at the end {}",
            counts.answered, counts.refused, counts.gone, counts.ending
        );
        println!("an answer took {}", percentiles(&counts.seconds));
        println!("the first settled text of a stream took {}", percentiles(&counts.first));
        for (time, bytes) in memory.iter().step_by(memory.len().div_ceil(10).max(1)) {
            println!("after {:4.0} s: {:.1} MB", time.as_secs_f64(), *bytes as f64 / 1e6);
        }
        if let Some(growth) = growth(memory) {
            println!("from the first minute to the last the memory grew by {:.1} %", 100.0 * growth);
        }
        for wrong in counts.wrong.iter().take(10) {
            println!("wrong: {wrong}");
        }
        if growth(memory).is_some_and(|growth| growth > MAX_GROWTH) {
            println!("wrong: the memory grew by more than {:.0} %", 100.0 * MAX_GROWTH);
        }
    }

    /// Fails if anything was not as it should be.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(counts.wrong.is_empty(), "{} answers were wrong or lost", counts.wrong.len());
        ensure!(!counts.answered.is_empty(), "nothing was answered");
        Ok(())
    }
}

fn percentiles(seconds: &[f64]) -> String {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(f64::NAN);
    format!("{:.2} s (median), {:.2} s (p99) of {}", at(0.5), at(0.99), sorted.len())
}

/// The growth from the end of the first minute to the end, if it took longer than two.
fn growth(memory: &[(Duration, u64)]) -> Option<f64> {
    let &(end, last) = memory.last()?;
    let &(_, first) = memory.iter().find(|(time, _)| time.as_secs() >= 60)?;
    (end.as_secs() >= 120).then(|| last as f64 / first as f64 - 1.0)
}
