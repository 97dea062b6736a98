//! The error that a cache or a suffix window introduces into the predictions.
//!
//! It is measured as the Kullback-Leibler divergence $\sum_x p(x) \ln \frac{p(x)}{q(x)}$, in nats, where $q$ is the
//! distribution with which a token was committed and $p$ is the one that a forward over the whole canvas, without a
//! cache, predicts.

use std::{cell::RefCell, ops::ControlFlow};

use llada_core::predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row};

use crate::{Engine, Generation, InferError, Progress, Request, logits::chunks};

impl<P: MaskPredictor> Engine<P> {
    /// Samples one answer and returns it with the mean divergence of the tokens that its steps committed, in nats. Without
    /// a cache and a suffix window the divergence is 0.
    ///
    /// Each step takes a second forward, so the running time is not that of a generation. Under guidance, the divergence
    /// is that of the predictions with the prompt.
    ///
    /// # Errors
    /// As for [`generate_batch`](Self::generate_batch).
    pub fn divergence(
        &mut self,
        request: &Request,
        mut observe: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(Generation, f64), InferError> {
        // The probe writes the divergences of a step, and the observer reads them after it.
        let step_divergences = RefCell::new(Vec::new());
        let (mut total, mut count) = (0.0, 0_usize);
        // Drafted states change no prediction, and the probe follows one row.
        let mut request = request.clone();
        request.config.draft_length = None;
        // An answer that grows has no suffix to hide, so this is the length of every sequence that is seen in part.
        let job = self.submit(request.clone())?;
        let length = self.canvas(job).map_or(0, <[u32]>::len);
        self.cancel(job);
        let predictor = DivergenceProbe { inner: &mut self.predictor, length, step_divergences: &step_divergences };
        let mut answers = Engine::new(predictor, self.vocabulary.special).generate_batch(
            std::slice::from_ref(&request),
            |progress| {
                let step_divergences = step_divergences.borrow();
                for commit in &progress.step.commits {
                    if let Ok(index) =
                        step_divergences.binary_search_by_key(&commit.position, |&(position, _)| position)
                    {
                        total += step_divergences[index].1;
                    }
                    count += 1;
                }
                observe(progress)
            },
        )?;
        Ok((answers.remove(0), total / count.max(1) as f64))
    }
}

/// A predictor that compares each prediction with the one that it would have made of the whole sequence, without a
/// cache.
struct DivergenceProbe<'a, P> {
    inner: &'a mut P,
    /// The length of a sequence that is seen in part.
    length: usize,
    /// The wanted positions of the last forward, in ascending order, with their divergences; empty if it reused and hid
    /// nothing.
    step_divergences: &'a RefCell<Vec<(usize, f64)>>,
}

/// Reads the logits of all wanted positions of row 0.
fn read<H: Hidden>(hidden: &mut H, wanted: usize) -> Result<Vec<f32>, H::Error> {
    let (mut all, mut chunk) = (Vec::new(), Vec::new());
    for range in chunks(wanted) {
        hidden.logits(0, range, &mut chunk)?;
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

impl<P: MaskPredictor> MaskPredictor for DivergenceProbe<'_, P> {
    type Error = P::Error;
    type Hidden<'h>
        = P::Hidden<'h>
    where
        Self: 'h;

    fn padded_vocab_size(&self) -> usize {
        self.inner.padded_vocab_size()
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

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<P::Hidden<'_>, P::Error> {
        self.step_divergences.borrow_mut().clear();
        let Some(row) = batch.first().filter(|row| row.positions.is_some() || !row.recompute.is_whole(row.ids.len()))
        else {
            return self.inner.forward(batch);
        };
        // What a window hides are masks.
        let length = if row.positions.is_some() { self.length.max(row.extent()) } else { row.ids.len() };
        let mut ids = vec![self.inner.mask_id(); length];
        for (index, &id) in row.ids.iter().enumerate() {
            ids[row.position(index)] = id;
        }
        let wanted: Vec<usize> = row.wanted.iter().map(|&index| row.position(index)).collect();
        let whole =
            Row { ids: &ids, positions: None, wanted: &wanted, cache: None, recompute: Recompute::All, ..row.clone() };
        let exact = read(&mut self.inner.forward(&[whole])?, wanted.len())?;
        let width = self.inner.padded_vocab_size();
        let mut hidden = self.inner.forward(batch)?;
        let reused = read(&mut hidden, row.wanted.len())?;
        let mut step_divergences = self.step_divergences.borrow_mut();
        for ((&position, p), q) in wanted.iter().zip(exact.chunks(width)).zip(reused.chunks(width)) {
            step_divergences.push((position, kullback_leibler(p, q)));
        }
        Ok(hidden)
    }

    fn takes_parts(&self) -> bool {
        self.inner.takes_parts()
    }

    fn release(&mut self, slot: CacheSlot) {
        self.inner.release(slot);
    }

    fn kept_bytes(&self, length: usize, recompute: &Recompute) -> usize {
        self.inner.kept_bytes(length, recompute)
    }
}

/// Returns the divergence of softmax(q) from softmax(p), in nats.
fn kullback_leibler(p: &[f32], q: &[f32]) -> f64 {
    let (log_sum_p, log_sum_q) = (log_sum_exp(p), log_sum_exp(q));
    let mut divergence = 0.0;
    for (&p, &q) in p.iter().zip(q) {
        let (log_p, log_q) = (f64::from(p) - log_sum_p, f64::from(q) - log_sum_q);
        // A token without probability adds nothing, and 0 times infinity would be NaN.
        if log_p > f64::NEG_INFINITY {
            divergence += log_p.exp() * (log_p - log_q);
        }
    }
    // Rounding may make it slightly negative.
    divergence.max(0.0)
}

/// Returns $\ln \sum_v e^{\text{logits}_v}$.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    top + logits.iter().map(|&logit| (f64::from(logit) - top).exp()).sum::<f64>().ln()
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
