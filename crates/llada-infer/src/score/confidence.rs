//! Scoring by confidence (iLLaDA, `eval_illada.py`): the answer is revealed token by token, each time the one that the
//! model predicts best, and the log-probabilities at which tokens were revealed are summed.

/// An answer on its way from masks to tokens.
pub(super) struct Reveal {
    /// The indices of the tokens that are masked still, in ascending order.
    masked: Vec<usize>,
    answer_length: usize,
    log_likelihood: f64,
}

impl Reveal {
    /// An answer of this length, all of it masked.
    pub(super) fn new(answer_length: usize) -> Self {
        Self { masked: (0..answer_length).collect(), answer_length, log_likelihood: 0.0 }
    }

    /// Returns the masks of the next forward.
    pub(super) fn masked(&self) -> &[usize] {
        &self.masked
    }

    /// Reveals the most probable of the masked tokens; ties go to the first. `log_p` has theirs, in nats.
    pub(super) fn reveal(&mut self, log_p: &[f64]) {
        let mut best = 0;
        for (index, &candidate) in log_p.iter().enumerate() {
            if candidate > log_p[best] {
                best = index;
            }
        }
        if best < self.masked.len() {
            self.masked.remove(best);
            self.log_likelihood += log_p[best];
        }
    }

    /// Returns the number of tokens that are masked still: each takes a forward.
    pub(super) fn left(&self) -> usize {
        self.masked.len()
    }

    pub(super) fn revealed(&self) -> usize {
        self.answer_length - self.masked.len()
    }

    /// Returns the sum of the log-probabilities. It is no estimate: another run gives the same.
    pub(super) fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }
}
