//! A constrained part of a sequence: the answer, or a run of masks in the prompt.

use std::{ops::Range, sync::Arc};

use llada_core::{confidence::Remasking, rng::Stream};

use super::{
    chain::{Chain, Marginal},
    language::Language,
    lattice::Lattice,
    reduce::{Logits, Measures, Reduced},
};
use crate::decoder::Prediction;

/// A constrained run of positions, of which some valid completion always exists.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    language: Arc<Language>,
    /// The positions; the end may lie beyond the sequence, if that may still grow.
    range: Range<usize>,
    /// The largest number of positions.
    most: usize,
    /// The position that the lattice starts at: the first mask.
    first: usize,
    lattice: Lattice,
}

impl Region {
    pub(super) fn new(language: Language, range: Range<usize>) -> Self {
        Self { language: Arc::new(language), first: range.start, most: range.len(), range, lattice: Lattice::default() }
    }

    pub(crate) fn range(&self) -> &Range<usize> {
        &self.range
    }

    /// Returns the least number of tokens that the language's strings have, if it has any.
    pub(crate) fn shortest(&self) -> Option<usize> {
        self.language.distance(self.language.start())
    }

    /// Moves the region as `count` masks are inserted into a sequence of `length` tokens. An end beyond the sequence stays
    /// where it is, and a region that is as long as it may be loses its last positions.
    pub(crate) fn grow(&mut self, at: usize, count: usize, length: usize) {
        if at < self.range.start {
            self.range.start += count;
        }
        if at <= self.range.end && self.range.end <= length {
            self.range.end = (self.range.end + count).min(self.range.start + self.most);
        }
    }

    /// Moves the end of the region.
    pub(crate) fn set_end(&mut self, end: usize) {
        self.range.end = end.max(self.range.start);
    }

    /// Rebuilds the lattice for the ids of the sequence, up to the end of a block or the last token after it. Returns false
    /// if there is no valid completion.
    pub(crate) fn update(&mut self, ids: &[u32], mask_id: u32, block_end: usize) -> bool {
        (self.first, self.lattice) = self.lattice_of(ids, mask_id, block_end);
        !self.lattice.is_empty()
    }

    /// Returns true if there is a valid completion of other ids.
    pub(crate) fn is_completable(&self, ids: &[u32], mask_id: u32) -> bool {
        !self.lattice_of(ids, mask_id, self.range.start).1.is_empty()
    }

    /// Returns the first masked position, or the end of what is given, and the lattice that starts there.
    fn lattice_of(&self, ids: &[u32], mask_id: u32, block_end: usize) -> (usize, Lattice) {
        let end = self.range.end.min(ids.len());
        let own = &ids[self.range.start.min(end)..end];
        let prefix = own.iter().position(|&id| id == mask_id).unwrap_or(own.len());
        let given_to = own.iter().rposition(|&id| id != mask_id).map_or(0, |last| last + 1);
        let last = block_end.saturating_sub(self.range.start).clamp(prefix, own.len()).max(given_to);
        let lattice = self.language.follow(&own[..prefix]).map(|state| {
            let tokens: Vec<Option<u32>> = own[prefix..last].iter().map(|&id| (id != mask_id).then_some(id)).collect();
            Lattice::new(&self.language, state, &tokens, self.range.len() - last)
        });
        (self.range.start + prefix, lattice.unwrap_or_default())
    }

    /// Returns the masked positions of the lattice that have one possible token, with it.
    pub(crate) fn forced(&self) -> impl Iterator<Item = (usize, u32)> {
        self.lattice.forced(&self.language).into_iter().map(|(position, token)| (self.first + position, token))
    }

    /// Returns true if `tokens` from the start of the region are a string of the language, ended or not.
    pub(crate) fn accepts(&self, tokens: &[u32]) -> bool {
        self.language.follow(tokens).is_some_and(|state| self.language.is_accepting(state))
    }

    /// Returns the least number of positions after the lattice with which the region can be completed.
    pub(crate) fn missing(&self) -> usize {
        let left = self.range.end - self.first - self.lattice.len();
        (0..left).find(|&missing| self.lattice.can_complete(&self.language, missing)).unwrap_or(left)
    }

    /// Reduces the logits of a masked position.
    pub(crate) fn reduce(&self, position: usize, logits: Logits<'_>, measures: Measures, noise: &Stream) -> Reduced {
        let classes = self.lattice.classes(&self.language, position - self.first);
        Reduced::new(&self.language, &classes, logits, measures, noise)
    }

    /// Returns the positions from the first mask to the last wanted one.
    pub(super) fn chain<'a>(&'a self, predictions: &[Prediction], reduced: &'a [Option<Reduced>]) -> Chain<'a> {
        let mut positions = Vec::new();
        for (prediction, reduced) in predictions.iter().zip(reduced) {
            if self.range.contains(&prediction.position) && reduced.is_some() {
                positions.resize(prediction.position - self.first, None);
                positions.push(reduced.as_ref());
            }
        }
        Chain { language: &self.language, lattice: &self.lattice, positions }
    }

    /// Writes the tokens of the most probable or a sampled completion, and the confidence in them, into the predictions of
    /// masks. `reduced` has what is known of each prediction's logits. Returns the log-mass of the valid completions.
    ///
    /// # Shapes
    /// `predictions`, `reduced`: one per wanted position, ascending.
    pub(crate) fn predict(
        &self,
        predictions: &mut [Prediction],
        reduced: &[Option<Reduced>],
        measures: Measures,
        mut uniform: impl FnMut(usize) -> f64,
    ) -> f64 {
        let chain = self.chain(predictions, reduced);
        let is_drawn = measures.temperature > 0.0;
        let sums = || chain.backward(|class| class.weight, false);
        let (sums, picks) = if is_drawn && measures.temperature == measures.confidence_temperature {
            let sums = sums();
            let picks = chain.pick(&sums, measures.temperature);
            (sums, picks)
        } else {
            rayon::join(sums, || {
                chain.pick(&chain.backward(|class| class.pick_weight, !is_drawn), measures.temperature)
            })
        };
        let mut found = picks.iter().zip(chain.marginals(&sums, &picks, measures)).peekable();
        for prediction in predictions {
            let position = prediction.position.wrapping_sub(self.first);
            let Some((pick, marginal)) = found.next_if(|(pick, _)| pick.position == position) else { continue };
            let Marginal { probability, margin, entropy } = marginal;
            prediction.token = pick.token;
            prediction.entropy = entropy as f32;
            prediction.confidence = match measures.remasking {
                Remasking::Random => uniform(prediction.position) as f32,
                Remasking::Margin => margin as f32,
                Remasking::Entropy => -entropy as f32,
                _ => probability as f32,
            };
        }
        chain.log_mass(&sums)
    }
}
