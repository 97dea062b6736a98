//! Exact inference over the valid completions of a block: the most probable one, a sample of them, and how probable each
//! token is under the constraint.
//!
//! The tokens of the masked positions are independent but for the automaton's state between them, so messages that run over
//! the states from boundary to boundary are exact (the Viterbi and forward–backward algorithms). They are logarithms, each
//! front's shifted so that its largest is 0. After the block all completions count alike.

use llada_core::confidence::Remasking;

use super::{
    language::Language,
    lattice::{Lattice, Places},
    reduce::{ClassStats, Measures, Reduced},
};

/// A block of a lattice with the reduced logits of its masks.
pub(super) struct Chain<'a> {
    pub(super) language: &'a Language,
    pub(super) lattice: &'a Lattice,
    /// For each position of the block, what is known of its logits; `None` for given tokens.
    pub(super) positions: Vec<Option<&'a Reduced>>,
}

/// A token that the chain picked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) position: usize,
    pub(super) class: u32,
    pub(super) token: u32,
}

/// What a position's distribution under the constraint says of a picked token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marginal {
    /// The probability of the token.
    pub(super) probability: f64,
    /// The difference between the two largest probabilities; computed for margins only.
    pub(super) margin: f64,
    /// The entropy in nats; computed if it is needed.
    pub(super) entropy: f64,
}

/// Messages from the right: for each boundary, that of each state of the front.
pub(super) struct Messages {
    pub(super) fronts: Vec<Vec<f64>>,
    /// By how much each front was shifted.
    pub(super) shifts: Vec<f64>,
}

/// A sum of exponentials that grows term by term.
#[derive(Clone, Copy)]
struct LogSum {
    max: f64,
    sum: f64,
}

impl LogSum {
    const EMPTY: Self = Self { max: f64::NEG_INFINITY, sum: 0.0 };
    /// Terms smaller than e to this power, relative to the largest, do not change an `f64`.
    const NEGLIGIBLE: f64 = -40.0;

    fn add(&mut self, term: f64) {
        let difference = term - self.max;
        if difference <= 0.0 {
            if difference > Self::NEGLIGIBLE {
                self.sum += difference.exp();
            }
        } else {
            let kept = if difference < -Self::NEGLIGIBLE { self.sum * (-difference).exp() } else { 0.0 };
            *self = Self { max: term, sum: kept + 1.0 };
        }
    }

    fn value(self) -> f64 {
        if self.sum > 0.0 { self.max + self.sum.ln() } else { f64::NEG_INFINITY }
    }
}

impl Chain<'_> {
    /// Computes the messages of the sum over completions or, if `is_max`, of the largest one.
    pub(super) fn backward(&self, weight: fn(&ClassStats) -> f64, is_max: bool) -> Messages {
        let end = self.positions.len();
        let mut places = Places::new(self.language);
        let mut fronts = vec![vec![0.0; self.lattice.front(end).len()]];
        let mut shifts = vec![0.0];
        for position in (0..end).rev() {
            let next = self.lattice.front(position + 1);
            places.set(next);
            let from_right = fronts.last().map_or(&[][..], Vec::as_slice);
            let mut messages = Vec::with_capacity(self.lattice.front(position).len());
            for &state in self.lattice.front(position) {
                let mut sum = LogSum::EMPTY;
                for edge in self.lattice.edges(self.language, position, state) {
                    let Some(place) = places.get(edge.to) else { continue };
                    let own =
                        self.positions[position].map_or(0.0, |reduced| weight(&reduced.classes[edge.class as usize]));
                    let term = own + from_right[place];
                    if is_max {
                        sum = LogSum { max: sum.max.max(term), sum: 1.0 };
                    } else {
                        sum.add(term);
                    }
                }
                messages.push(sum.value());
            }
            places.clear(next);
            shifts.push(shift_to_zero(&mut messages));
            fronts.push(messages);
        }
        fronts.reverse();
        shifts.reverse();
        Messages { fronts, shifts }
    }

    /// Picks a token for each mask, from left to right: the most probable completion or, with noise in the scores, a sample.
    /// Ties go to the lowest id.
    pub(super) fn pick(&self, messages: &Messages, temperature: f64) -> Vec<Pick> {
        let temperature = if temperature > 0.0 { temperature } else { 1.0 };
        let mut places = Places::new(self.language);
        let mut picks = Vec::new();
        let Some(&start) = self.lattice.front(0).first() else { return picks };
        let mut state = start;
        for (position, reduced) in self.positions.iter().enumerate() {
            let next = self.lattice.front(position + 1);
            places.set(next);
            let mut best: Option<(f64, Pick, u32)> = None;
            for edge in self.lattice.edges(self.language, position, state) {
                let Some(place) = places.get(edge.to) else { continue };
                let stats = reduced.map_or(ClassStats::default(), |reduced| reduced.classes[edge.class as usize]);
                let score = stats.score + temperature * messages.fronts[position + 1][place];
                let is_better = best
                    .is_none_or(|(largest, pick, _)| score > largest || (score == largest && stats.token < pick.token));
                if is_better {
                    best = Some((score, Pick { position, class: edge.class, token: stats.token }, edge.to));
                }
            }
            places.clear(next);
            let Some((_, pick, to)) = best else { return picks };
            if reduced.is_some() {
                picks.push(pick);
            }
            state = to;
        }
        picks
    }

    /// Computes the marginals of picked tokens from the messages of the sum over completions.
    pub(super) fn marginals(&self, messages: &Messages, picks: &[Pick], measures: Measures) -> Vec<Marginal> {
        let mut marginals = Vec::with_capacity(picks.len());
        let mut picks = picks.iter().peekable();
        let needs_all_classes = measures.needs_entropy || measures.remasking == Remasking::Margin;
        let mut places = Places::new(self.language);
        let mut from_left = vec![0.0; self.lattice.front(0).len()];
        for (position, reduced) in self.positions.iter().enumerate() {
            let next = self.lattice.front(position + 1);
            places.set(next);
            let pick = picks.next_if(|pick| pick.position == position);
            let mut to_right = vec![LogSum::EMPTY; next.len()];
            let mut contexts = vec![LogSum::EMPTY; if pick.is_some() { self.language.classes() } else { 0 }];
            let mut total = LogSum::EMPTY;
            for (left, right) in from_left.iter().zip(&messages.fronts[position]) {
                total.add(left + right + messages.shifts[position]);
            }
            for (&state, &left) in self.lattice.front(position).iter().zip(&from_left) {
                for edge in self.lattice.edges(self.language, position, state) {
                    let Some(place) = places.get(edge.to) else { continue };
                    let own = reduced.map_or(0.0, |reduced| reduced.classes[edge.class as usize].weight);
                    to_right[place].add(left + own);
                    if pick.is_some_and(|pick| needs_all_classes || pick.class == edge.class) {
                        contexts[edge.class as usize].add(left + messages.fronts[position + 1][place]);
                    }
                }
            }
            places.clear(next);
            if let (Some(reduced), Some(pick)) = (reduced, pick) {
                marginals.push(marginal(reduced, &contexts, total.value(), pick, measures));
            }
            from_left = to_right.into_iter().map(LogSum::value).collect();
            shift_to_zero(&mut from_left);
        }
        marginals
    }

    /// Returns the log-probability that tokens drawn independently from all of each position's distribution are valid.
    pub(super) fn log_mass(&self, messages: &Messages) -> f64 {
        messages.shifts.iter().sum::<f64>()
            - self.positions.iter().flatten().map(|reduced| reduced.log_sum).sum::<f64>()
    }
}

/// Computes a position's marginal. `contexts` has, for each class, the log-weight of everything else that goes with it;
/// `total` is the log-weight of all completions.
fn marginal(reduced: &Reduced, contexts: &[LogSum], total: f64, pick: &Pick, measures: Measures) -> Marginal {
    let live = || {
        let classes = reduced.classes.iter().zip(contexts).filter(|(_, context)| context.sum > 0.0);
        classes.map(|(class, context)| (class, context.value() - total))
    };
    let class = &reduced.classes[pick.class as usize];
    let probability = (class.logit + contexts[pick.class as usize].value() - total).exp().min(1.0);
    let mut margin = 0.0;
    if measures.remasking == Remasking::Margin {
        let mut largest = [0.0; 2];
        for (class, context) in live() {
            for logit in class.largest {
                let probability = (logit + context).exp();
                if probability > largest[0] {
                    largest = [probability, largest[0]];
                } else if probability > largest[1] {
                    largest[1] = probability;
                }
            }
        }
        margin = largest[0] - largest[1];
    }
    let mut entropy = 0.0;
    if measures.needs_entropy {
        for (class, context) in live() {
            let log_p = class.weight + context;
            entropy += log_p.exp() * (class.entropy - log_p);
        }
    }
    Marginal { probability, margin, entropy }
}

/// Shifts messages so that the largest is 0, and returns by how much.
fn shift_to_zero(messages: &mut [f64]) -> f64 {
    let largest = messages.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest > f64::NEG_INFINITY {
        messages.iter_mut().for_each(|message| *message -= largest);
    }
    largest
}
