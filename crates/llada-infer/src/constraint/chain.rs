//! Exact inference over the valid completions of a block: the most probable one, a sample of them, and how probable each
//! token is under the constraint.
//!
//! The tokens of the masked positions are independent but for the automaton's state between them, so messages that run over
//! the states from boundary to boundary are exact (the Viterbi and forward–backward algorithms). They are logarithms, each
//! front's shifted so that its largest is 0. After the block all completions count alike.

use llada_core::confidence::Remasking;

use super::{
    language::Language,
    lattice::Lattice,
    reduce::{ClassStats, Measures, Reduced},
    weights::{ByState, LogSum, Sum, Weight, of_classes, shift_to_zero},
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

/// The sums over the edges of a position.
struct Flows<S> {
    /// For each state of the next front, the weight of what leads to it.
    to_right: Vec<S>,
    /// For each class, the weight of everything else that goes with it.
    contexts: Vec<S>,
}

impl Chain<'_> {
    /// Computes the messages of the sum over completions or, if `is_max`, of the largest one.
    pub(super) fn backward(&self, weight: fn(&ClassStats) -> f64, is_max: bool) -> Messages {
        let end = self.positions.len();
        let mut fronts = vec![vec![0.0; self.lattice.front(end).len()]];
        let mut shifts = vec![0.0];
        let mut from_right = ByState::new(self.language);
        for position in (0..end).rev() {
            let next = self.lattice.front(position + 1);
            from_right.set(next, fronts.last().map_or(&[], Vec::as_slice));
            let (weights, shift) = self.weights(position, weight);
            let mut messages = Vec::with_capacity(self.lattice.front(position).len());
            for &state in self.lattice.front(position) {
                messages.push(if is_max {
                    let mut largest = f64::NEG_INFINITY;
                    self.lattice.for_each_edge(self.language, position, state, |edge| {
                        largest = largest.max(weights[edge.class as usize].log + from_right.get(edge.to).log);
                    });
                    largest
                } else {
                    let sum: f64 = self.sum(position, state, &weights, &from_right);
                    if sum.is_exact() {
                        sum.logarithm()
                    } else {
                        self.sum::<LogSum>(position, state, &weights, &from_right).logarithm()
                    }
                });
            }
            from_right.clear(next);
            shifts.push(shift_to_zero(&mut messages) + shift);
            fronts.push(messages);
        }
        fronts.reverse();
        shifts.reverse();
        Messages { fronts, shifts }
    }

    /// Returns the weights of the classes at a position relative to the largest, and the logarithm of that. Given tokens
    /// weigh nothing.
    fn weights(&self, position: usize, weight: fn(&ClassStats) -> f64) -> (Vec<Weight>, f64) {
        match self.positions[position] {
            Some(reduced) => of_classes(&reduced.classes, weight),
            None => (vec![Weight::new(0.0); self.language.classes()], 0.0),
        }
    }

    fn sum<S: Sum>(&self, position: usize, state: u32, weights: &[Weight], from_right: &ByState) -> S {
        let mut sum = S::EMPTY;
        self.lattice.for_each_edge(self.language, position, state, |edge| {
            sum.add(weights[edge.class as usize], from_right.get(edge.to));
        });
        sum
    }

    /// Picks a token for each mask, from left to right: the most probable completion or, with noise in the scores, a sample.
    /// Ties go to the lowest id.
    pub(super) fn pick(&self, messages: &Messages, temperature: f64) -> Vec<Pick> {
        let temperature = if temperature > 0.0 { temperature } else { 1.0 };
        let mut from_right = ByState::new(self.language);
        let mut picks = Vec::new();
        let Some(&start) = self.lattice.front(0).first() else { return picks };
        let mut state = start;
        for (position, reduced) in self.positions.iter().enumerate() {
            let next = self.lattice.front(position + 1);
            from_right.set(next, &messages.fronts[position + 1]);
            let mut best: Option<(f64, Pick, u32)> = None;
            self.lattice.for_each_edge(self.language, position, state, |edge| {
                let message = from_right.get(edge.to).log;
                if message == f64::NEG_INFINITY {
                    return;
                }
                let (score, token) = match reduced {
                    Some(reduced) => {
                        let stats = &reduced.classes[edge.class as usize];
                        (stats.score + temperature * message, stats.token)
                    }
                    None => (message, 0),
                };
                let is_better =
                    best.is_none_or(|(largest, pick, _)| score > largest || (score == largest && token < pick.token));
                if is_better {
                    best = Some((score, Pick { position, class: edge.class, token }, edge.to));
                }
            });
            from_right.clear(next);
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
        let mut from_right = ByState::new(self.language);
        let mut from_left = vec![0.0; self.lattice.front(0).len()];
        for (position, reduced) in self.positions.iter().enumerate() {
            let next = self.lattice.front(position + 1);
            from_right.set(next, &messages.fronts[position + 1]);
            let weights = self.weights(position, |class| class.weight).0;
            let pick = picks.next_if(|pick| pick.position == position);
            let wanted = pick.filter(|_| !measures.needs_all_classes()).map(|pick| pick.class);
            let flows = self.flows::<f64>(position, &from_left, &weights, &from_right, wanted);
            let context_is_exact = pick.is_none_or(|pick| flows.contexts[pick.class as usize].is_exact());
            let (mut to_right, contexts) = if context_is_exact && flows.to_right.iter().all(|sum| sum.is_exact()) {
                flows.logs()
            } else {
                self.flows::<LogSum>(position, &from_left, &weights, &from_right, wanted).logs()
            };
            if let (Some(reduced), Some(pick)) = (reduced, pick) {
                let mut total = LogSum::EMPTY;
                for (left, right) in from_left.iter().zip(&messages.fronts[position]) {
                    total.add(Weight::new(*left), Weight::new(*right));
                }
                let total = total.logarithm() + messages.shifts[position];
                marginals.push(marginal(reduced, &contexts, total, pick, measures));
            }
            from_right.clear(next);
            shift_to_zero(&mut to_right);
            from_left = to_right;
        }
        marginals
    }

    /// Sums over the edges of a position. Of the contexts, only that of the class `wanted` is computed, if there is one.
    fn flows<S: Sum>(
        &self,
        position: usize,
        from_left: &[f64],
        weights: &[Weight],
        from_right: &ByState,
        wanted: Option<u32>,
    ) -> Flows<S> {
        let mut by_state = vec![S::EMPTY; self.language.states()];
        let mut contexts = vec![S::EMPTY; self.language.classes()];
        for (&state, &left) in self.lattice.front(position).iter().zip(from_left) {
            let left = Weight::new(left);
            self.lattice.for_each_edge(self.language, position, state, |edge| {
                by_state[edge.to as usize].add(left, weights[edge.class as usize]);
                if wanted.is_none_or(|wanted| wanted == edge.class) {
                    contexts[edge.class as usize].add(left, from_right.get(edge.to));
                }
            });
        }
        let to_right = self.lattice.front(position + 1).iter().map(|&state| by_state[state as usize]).collect();
        Flows { to_right, contexts }
    }

    /// Returns the log-probability that tokens drawn independently from all of each position's distribution are valid.
    pub(super) fn log_mass(&self, messages: &Messages) -> f64 {
        messages.shifts.iter().sum::<f64>()
            - self.positions.iter().flatten().map(|reduced| reduced.log_sum).sum::<f64>()
    }
}

impl<S: Sum> Flows<S> {
    fn logs(self) -> (Vec<f64>, Vec<f64>) {
        let logs = |sums: Vec<S>| sums.into_iter().map(S::logarithm).collect();
        (logs(self.to_right), logs(self.contexts))
    }
}

/// Computes a position's marginal. `contexts` has, for each class, the log-weight of everything else that goes with it;
/// `total` is the log-weight of all completions.
fn marginal(reduced: &Reduced, contexts: &[f64], total: f64, pick: &Pick, measures: Measures) -> Marginal {
    let live = || {
        let classes = reduced.classes.iter().zip(contexts).filter(|(_, context)| **context > f64::NEG_INFINITY);
        classes.map(|(class, context)| (class, context - total))
    };
    let class = &reduced.classes[pick.class as usize];
    let probability = (class.logit + contexts[pick.class as usize] - total).exp().min(1.0);
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
