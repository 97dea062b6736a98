//! How far a cache leads the predictions astray.
//!
//! The measure is the Kullback-Leibler divergence $\sum_x p(x) \ln \frac{p(x)}{q(x)}$, in nats, from the distribution
//! $q$ that a token was committed by to the one, $p$, that a forward over the same canvas without any cache predicts.

use std::{cell::RefCell, ops::ControlFlow, ops::Range};

use llada_core::predictor::{MaskPredictor, Reuse, Row};

use crate::{Engine, Generation, InferError, Progress, Request, logits::chunks};

impl<P: MaskPredictor> Engine<P> {
    /// Samples one answer, and the mean divergence, in nats, of the tokens that its steps committed; 0 without a cache.
    ///
    /// Each step takes a second forward, so the time that this takes says nothing. Under guidance, the divergence is
    /// that of the predictions with the prompt.
    ///
    /// # Errors
    /// As [`generate_batch`](Self::generate_batch).
    pub fn divergence(
        &mut self,
        request: &Request,
        mut observe: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(Generation, f64), InferError> {
        let of_step = RefCell::new(Vec::new());
        let (mut total, mut count) = (0.0, 0_usize);
        let predictor = Watched { inner: &mut self.predictor, of_step: &of_step };
        let mut answers =
            Engine::new(predictor, self.special).generate_batch(std::slice::from_ref(request), |progress| {
                let of_step = of_step.borrow();
                for commit in &progress.step.commits {
                    if let Ok(index) = of_step.binary_search_by_key(&commit.position, |&(position, _)| position) {
                        total += of_step[index].1;
                    }
                    count += 1;
                }
                observe(progress)
            })?;
        Ok((answers.remove(0), total / count.max(1) as f64))
    }
}

/// A predictor that also knows what it would have predicted without a cache.
struct Watched<'a, P> {
    inner: &'a mut P,
    /// The wanted positions of the last forward, ascending, and their divergences; empty if it reused nothing.
    of_step: &'a RefCell<Vec<(usize, f64)>>,
}

impl<P: MaskPredictor> Watched<'_, P> {
    /// The logits of all of row 0's wanted positions.
    fn read(&mut self, wanted: usize) -> Result<Vec<f32>, P::Error> {
        let (mut all, mut chunk) = (Vec::new(), Vec::new());
        for range in chunks(wanted) {
            self.inner.logits(0, range, &mut chunk)?;
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

impl<P: MaskPredictor> MaskPredictor for Watched<'_, P> {
    type Error = P::Error;

    fn logits_width(&self) -> usize {
        self.inner.logits_width()
    }

    fn mask_id(&self) -> u32 {
        self.inner.mask_id()
    }

    fn banned(&self) -> &[u32] {
        self.inner.banned()
    }

    fn max_sequence_length(&self) -> usize {
        self.inner.max_sequence_length()
    }

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<(), P::Error> {
        self.of_step.borrow_mut().clear();
        let Some(&row) = batch.first().filter(|row| !row.reuse.is_whole(row.ids.len())) else {
            return self.inner.forward(batch);
        };
        self.inner.forward(&[Row { reuse: Reuse::Nothing, ..row }])?;
        let exact = self.read(row.wanted.len())?;
        self.inner.forward(batch)?;
        let reused = self.read(row.wanted.len())?;
        let width = self.inner.logits_width();
        let pairs = exact.chunks(width).zip(reused.chunks(width));
        let of_step = row.wanted.iter().zip(pairs).map(|(&position, (p, q))| (position, kullback_leibler(p, q)));
        self.of_step.borrow_mut().extend(of_step);
        Ok(())
    }

    fn forget(&mut self) {
        self.inner.forget();
    }

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), P::Error> {
        self.inner.logits(row, range, out)
    }
}

/// The divergence of softmax(q) from softmax(p).
fn kullback_leibler(p: &[f32], q: &[f32]) -> f64 {
    let log_total = |logits: &[f32]| {
        let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        top + logits.iter().map(|&logit| (f64::from(logit) - top).exp()).sum::<f64>().ln()
    };
    let (of_p, of_q) = (log_total(p), log_total(q));
    let term = |(&p, &q): (&f32, &f32)| {
        let (p, q) = (f64::from(p) - of_p, f64::from(q) - of_q);
        if p == f64::NEG_INFINITY { 0.0 } else { p.exp() * (p - q) }
    };
    p.iter().zip(q).map(term).sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergences_of_the_textbook() {
        let log = |p: [f64; 3]| p.map(|p| p.ln() as f32 + 7.0);
        let found = kullback_leibler(&log([0.5, 0.5, 0.0]), &log([0.25, 0.5, 0.25]));
        assert!((found - 0.5 * 2.0_f64.ln()).abs() < 1e-6, "{found}");
        assert_eq!(kullback_leibler(&log([0.1, 0.2, 0.7]), &log([0.1, 0.2, 0.7])), 0.0);
    }
}
