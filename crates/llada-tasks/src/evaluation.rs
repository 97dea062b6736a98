//! The results of a model: exact match by task with its confidence interval, and the number of forwards.

use std::collections::BTreeMap;

use llada_core::interval::wilson;
use serde::{Serialize, Serializer};

/// The counts of right answers and of all answers to one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of right answers.
    pub right: usize,
    /// The number of all answers.
    pub total: usize,
}

impl Tally {
    /// Returns the fraction of right answers; 0 if there are none.
    pub fn exact_match(&self) -> f64 {
        self.right as f64 / self.total.max(1) as f64
    }

    /// Returns Wilson's 95 % confidence interval of the fraction.
    pub fn interval(&self) -> [f64; 2] {
        wilson(self.right, self.total)
    }
}

/// The results of all tasks. It serialises as `exact_match` and `interval` by task, `mean_exact_match`, `nfe` and
/// `tokens_per_forward`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The counts by name of the task.
    pub tallies: BTreeMap<&'static str, Tally>,
    /// The number of forward evaluations, summed over the answers.
    pub nfe: usize,
    /// The number of committed tokens, summed over the answers.
    pub tokens: usize,
}

impl Evaluation {
    /// Counts an answer of `tokens` tokens that took `nfe` forward evaluations.
    pub fn add(&mut self, task: &'static str, right: bool, nfe: usize, tokens: usize) {
        let tally = self.tallies.entry(task).or_default();
        tally.right += usize::from(right);
        tally.total += 1;
        self.nfe += nfe;
        self.tokens += tokens;
    }

    /// Returns the mean of exact match over the tasks, which have equal weights.
    pub fn mean_exact_match(&self) -> f64 {
        self.tallies.values().map(Tally::exact_match).sum::<f64>() / self.tallies.len().max(1) as f64
    }

    /// Returns the mean number of tokens that a forward commits.
    pub fn tokens_per_forward(&self) -> f64 {
        self.tokens as f64 / self.nfe.max(1) as f64
    }
}

impl Serialize for Evaluation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Figures {
            exact_match: BTreeMap<&'static str, f64>,
            interval: BTreeMap<&'static str, [f64; 2]>,
            mean_exact_match: f64,
            nfe: usize,
            tokens_per_forward: f64,
        }
        let figures = Figures {
            exact_match: self.tallies.iter().map(|(&task, tally)| (task, tally.exact_match())).collect(),
            interval: self.tallies.iter().map(|(&task, tally)| (task, tally.interval())).collect(),
            mean_exact_match: self.mean_exact_match(),
            nfe: self.nfe,
            tokens_per_forward: self.tokens_per_forward(),
        };
        figures.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_weigh_the_same() {
        let mut evaluation = Evaluation::default();
        evaluation.add("sorting", true, 4, 32);
        for right in [true, false, false, false] {
            evaluation.add("addition", right, 4, 16);
        }
        let figures = serde_json::to_value(&evaluation).unwrap();
        assert_eq!(figures["exact_match"], serde_json::json!({"addition": 0.25, "sorting": 1.0}));
        assert_eq!(figures["mean_exact_match"], 0.625);
        assert_eq!((&figures["nfe"], &figures["tokens_per_forward"]), (&20.into(), &4.8.into()));
    }

    #[test]
    fn nothing_gives_zeros() {
        let nothing = Evaluation::default();
        assert_eq!((nothing.mean_exact_match(), nothing.tokens_per_forward()), (0.0, 0.0));
    }
}
