//! Truncated sampling: the tokens that `top_k` and `top_p` (Holtzman et al. 2019, arXiv 1904.09751) leave to pick from.

use crate::{SamplerConfig, decoder::Convention};

/// The truncation of a request's distributions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truncation {
    top_k: Option<usize>,
    top_p: Option<f32>,
    temperature: f64,
    /// True if `top_p` counts the probabilities before `top_k` removes any.
    top_p_first: bool,
}

impl Truncation {
    /// Returns the truncation of a request; none if all tokens stay.
    pub(crate) fn new(config: &SamplerConfig, convention: Convention) -> Option<Self> {
        // LLaDA2's sampler truncates only what it draws from.
        if convention == Convention::Llada2 && config.temperature == 0.0 {
            return None;
        }
        let top_p = config.top_p.filter(|&top_p| top_p < 1.0);
        if config.top_k.is_none() && top_p.is_none() {
            return None;
        }
        let top_p_first = convention == Convention::Dream;
        Some(Self { top_k: config.top_k, top_p, temperature: config.temperature, top_p_first })
    }

    /// Sets the logits of the tokens that do not stay to −∞.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        // Ties go to the lowest id, as everywhere.
        order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        let top_k = self.top_k.unwrap_or(order.len()).min(order.len());
        let counted = if self.top_p_first { order.len() } else { top_k };
        let nucleus = self.top_p.map_or(order.len(), |top_p| self.nucleus(logits, &order[..counted], top_p));
        for &id in &order[nucleus.min(top_k)..] {
            logits[id as usize] = f32::NEG_INFINITY;
        }
    }

    /// Returns the logits with those of the tokens that do not stay lowered so far that such a token is picked only where a
    /// constraint leaves no other.
    pub(crate) fn penalised(&self, logits: &[f32]) -> Vec<f32> {
        const PENALTY: f32 = 1e4;
        let mut truncated = logits.to_vec();
        self.apply(&mut truncated);
        for (truncated, logit) in truncated.iter_mut().zip(logits) {
            if *truncated == f32::NEG_INFINITY {
                *truncated = logit - PENALTY;
            }
        }
        truncated
    }

    /// Returns the number of the first of `order`, the most probable first, whose probabilities before the last of them
    /// sum to at most `top_p` of all of `order`.
    fn nucleus(&self, logits: &[f32], order: &[u32], top_p: f32) -> usize {
        let scale = if self.temperature > 0.0 { self.temperature } else { 1.0 };
        let Some(&first) = order.first() else { return 0 };
        let max = f64::from(logits[first as usize]);
        let weights: Vec<f64> =
            order.iter().map(|&id| ((f64::from(logits[id as usize]) - max) / scale).exp()).collect();
        let bound = f64::from(top_p) * weights.iter().sum::<f64>();
        let mut sum = 0.0;
        for (index, weight) in weights.iter().enumerate() {
            if sum > bound {
                return index;
            }
            sum += weight;
        }
        weights.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(config: SamplerConfig, convention: Convention) -> Vec<usize> {
        // Probabilities 0.5, 0.3, 0.15, 0.05, in another order.
        let mut logits = [0.3_f32, 0.05, 0.5, 0.15].map(f32::ln);
        if let Some(truncation) = Truncation::new(&config, convention) {
            truncation.apply(&mut logits);
        }
        (0..4).filter(|&id| logits[id] > f32::NEG_INFINITY).collect()
    }

    #[test]
    fn the_token_that_passes_the_bound_stays() {
        let top_p = |top_p| SamplerConfig { top_p: Some(top_p), ..Default::default() };
        let kept = |config| kept(config, Convention::Llada);
        assert_eq!(kept(top_p(0.4)), [2]);
        assert_eq!(kept(top_p(0.6)), [0, 2]);
        assert_eq!(kept(top_p(0.9)), [0, 2, 3]);
        assert_eq!(kept(top_p(1.0)), [0, 1, 2, 3]);
        assert_eq!(kept(SamplerConfig { top_k: Some(3), ..Default::default() }), [0, 2, 3]);
        assert_eq!(kept(SamplerConfig { top_k: Some(9), ..Default::default() }), [0, 1, 2, 3]);
    }

    #[test]
    fn families_truncate_in_their_own_order() {
        // Of the two best, which hold 0.8, the first alone is more than 0.55 of it, but not of all.
        let config = SamplerConfig { top_k: Some(2), top_p: Some(0.55), temperature: 1.0, ..Default::default() };
        assert_eq!(kept(config.clone(), Convention::Dream), [0, 2]);
        assert_eq!(kept(config.clone(), Convention::Llada2), [2]);
        assert_eq!(kept(SamplerConfig { temperature: 0.0, ..config }, Convention::Llada2), [0, 1, 2, 3]);
    }
}
