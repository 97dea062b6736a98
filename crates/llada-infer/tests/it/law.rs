//! The exact law of what a solver of the reverse process samples on a table: the transitions of its forwards, which are those
//! of the decoder, applied one after the other to the distribution over all states.

use std::num::NonZeroUsize;

use llada_core::{
    CoreError,
    block::num_transfer_tokens,
    predictor::{Hidden, MaskPredictor, Row},
    rng::Noise,
    tabular::TabularPredictor,
};
use llada_infer::{
    DecoderConfig,
    decoder::{Leap, Stage, ThetaTrapezoidal},
};

/// Tokens of the vocabulary, and positions.
pub(crate) const TOKENS: usize = 3;
pub(crate) const LENGTH: usize = 4;
/// Including the mask, which is the id after the last token.
const IDS: usize = TOKENS + 1;
const STATES: usize = IDS.pow(LENGTH as u32);

/// A joint distribution, and the predictions in all of its states.
pub(crate) struct Table {
    /// By lexicographic order of the sequences.
    pub(crate) joint: Vec<f64>,
    /// By state and position; empty where a token is visible.
    predictions: Vec<[Vec<f32>; LENGTH]>,
}

/// What a forward does to the masks.
#[derive(Clone, Copy)]
enum Transition {
    Leap(f64),
    Extrapolate(ThetaTrapezoidal, f64),
    Hit(usize),
}

/// What may become of a mask: it stays one, or it becomes a token, each with a probability.
struct Outcomes {
    position: usize,
    stays: f64,
    tokens: Vec<f64>,
}

/// Returns the id at `position` in the state or sequence with this index, among so many ids.
fn id(index: usize, position: usize, ids: usize) -> usize {
    index / ids.pow((LENGTH - 1 - position) as u32) % ids
}

/// The ids of a state.
fn ids(state: usize) -> Vec<u32> {
    (0..LENGTH).map(|position| id(state, position, IDS) as u32).collect()
}

/// The masked positions of a state.
fn masks(state: usize) -> impl Iterator<Item = usize> {
    (0..LENGTH).filter(move |&position| id(state, position, IDS) == TOKENS)
}

/// The joint distribution of random weights between e^−`spread` and e^`spread`.
pub(crate) fn random(seed: u64, spread: f64) -> Result<TabularPredictor, CoreError> {
    let mut noise = Noise::new(seed).stream(0, 0, 0);
    let joint = (0..TOKENS.pow(LENGTH as u32)).map(|_| (spread * (2.0 * noise.uniform() - 1.0)).exp());
    TabularPredictor::new(TOKENS, LENGTH, joint.collect())
}

impl Transition {
    fn of(decoder: DecoderConfig, forward: usize, forwards: NonZeroUsize) -> Option<Self> {
        Some(match decoder {
            DecoderConfig::Euler(options) => Self::Leap(options.jump_probability(Leap::Euler, forward, forwards)),
            DecoderConfig::TauLeaping(options) => Self::Leap(options.jump_probability(Leap::Tau, forward, forwards)),
            DecoderConfig::ThetaTrapezoidal(solver) => match solver.stage(forward, forwards) {
                Stage::Leap(probability) => Self::Leap(probability),
                Stage::Extrapolate(length) => Self::Extrapolate(solver, length),
            },
            DecoderConfig::FirstHitting => Self::Hit(*num_transfer_tokens(LENGTH, forwards).get(forward)?),
            _ => return None,
        })
    }
}

impl Table {
    /// Asks `predictor` for all that it says.
    pub(crate) fn new(predictor: &mut TabularPredictor) -> Result<Self, CoreError> {
        let sequences = 0..TOKENS.pow(LENGTH as u32);
        let joint = sequences.map(|sequence| predictor.probability(&ids(Self::state(sequence)))).collect();
        let mut predictions = Vec::with_capacity(STATES);
        for state in 0..STATES {
            let (ids, wanted) = (ids(state), Vec::from_iter(masks(state)));
            let mut hidden = predictor.forward(&[Row::new(&ids, &wanted)])?;
            let mut of_state: [Vec<f32>; LENGTH] = Default::default();
            for (index, &position) in wanted.iter().enumerate() {
                hidden.logits(0, index..index + 1, &mut of_state[position])?;
                of_state[position].iter_mut().for_each(|logit| *logit = logit.exp());
            }
            predictions.push(of_state);
        }
        Ok(Self { joint, predictions })
    }

    /// The least factor by which a visible token changes the probability of a token elsewhere.
    pub(crate) fn least_ratio(&self) -> f64 {
        let mut least = f64::INFINITY;
        for state in 0..STATES {
            for other in (0..LENGTH).filter(|&other| id(state, other, IDS) != TOKENS) {
                let hidden = state + (TOKENS - id(state, other, IDS)) * IDS.pow((LENGTH - 1 - other) as u32);
                for (p, before) in self.predictions[state].iter().zip(&self.predictions[hidden]) {
                    let ratios = p.iter().zip(before).take(TOKENS).map(|(p, before)| f64::from(p / before));
                    least = ratios.fold(least, f64::min);
                }
            }
        }
        least
    }

    /// The law of a solver's outputs after so many `forwards`, by lexicographic order; nothing for other decoders.
    pub(crate) fn law(&self, decoder: DecoderConfig, forwards: NonZeroUsize) -> Option<Vec<f64>> {
        // The probability that the state was x at the last leap, and is y now.
        let mut law = vec![vec![0.0; STATES]; STATES];
        law[STATES - 1][STATES - 1] = 1.0;
        for forward in 0..forwards.get() {
            let transition = Transition::of(decoder, forward, forwards)?;
            let mut next = vec![vec![0.0; STATES]; STATES];
            for y in 0..STATES {
                let (weight, next) = (law.iter().map(|law| law[y]).sum(), &mut next[y]);
                match transition {
                    Transition::Leap(probability) => self.leap(y, weight, probability, next),
                    Transition::Hit(count) => self.hit(y, weight, count, next),
                    Transition::Extrapolate(solver, length) => {
                        for (x, law) in law.iter().enumerate().filter(|(_, law)| law[y] > 0.0) {
                            self.extrapolate(solver, [x, y], law[y], length, next);
                        }
                    }
                }
            }
            law = next;
        }
        let sequences = (0..self.joint.len()).map(Self::state);
        Some(sequences.map(|state| law.iter().map(|law| law[state]).sum()).collect())
    }

    /// The state in which all tokens of a sequence are visible.
    fn state(sequence: usize) -> usize {
        (0..LENGTH).fold(0, |state, position| IDS * state + id(sequence, position, TOKENS))
    }

    /// What becomes of a mask that is its prediction with this probability.
    fn prediction(&self, state: usize, position: usize, probability: f64) -> Outcomes {
        let p = &self.predictions[state][position][..TOKENS];
        let tokens = p.iter().map(|&p| probability * f64::from(p)).collect();
        Outcomes { position, stays: 1.0 - probability, tokens }
    }

    fn leap(&self, state: usize, weight: f64, probability: f64, next: &mut [f64]) {
        let outcomes: Vec<_> = masks(state).map(|position| self.prediction(state, position, probability)).collect();
        spread(state, weight, &outcomes, next);
    }

    fn extrapolate(&self, solver: ThetaTrapezoidal, [x, y]: [usize; 2], weight: f64, length: f64, next: &mut [f64]) {
        let mut outcomes = Vec::new();
        for position in masks(y) {
            let mut rates = self.predictions[y][position].clone();
            let rate = solver.extrapolate(&self.predictions[x][position], &mut rates);
            let stays = (-rate * length).exp();
            let tokens = rates[..TOKENS].iter().map(|&q| (1.0 - stays) * f64::from(q) / rate).collect();
            outcomes.push(Outcomes { position, stays, tokens });
        }
        spread(y, weight, &outcomes, next);
    }

    /// Each set of `count` masks with the same probability.
    fn hit(&self, state: usize, weight: f64, count: usize, next: &mut [f64]) {
        let masks: Vec<usize> = masks(state).collect();
        let sets: Vec<u32> = (0..1 << masks.len()).filter(|set: &u32| set.count_ones() as usize == count).collect();
        for set in &sets {
            let mut outcomes = Vec::new();
            for (index, &position) in masks.iter().enumerate() {
                outcomes.push(self.prediction(state, position, f64::from(set >> index & 1)));
            }
            spread(state, weight / sets.len() as f64, &outcomes, next);
        }
    }

    /// The total variation distance of a law from the joint distribution.
    pub(crate) fn total_variation(&self, law: &[f64]) -> f64 {
        self.joint.iter().zip(law).map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0
    }

    /// The Kullback-Leibler divergence of the joint distribution from a law, in nats.
    pub(crate) fn divergence(&self, law: &[f64]) -> f64 {
        // Predictions are f32, so that the mass of the law is 1 up to some 10⁻⁷, which is more than small divergences are.
        let mass: f64 = law.iter().sum();
        self.joint.iter().zip(law).map(|(p, q)| p * (p * mass / q).ln()).sum()
    }
}

/// Adds to `next` the probability of every state that `state` becomes, where masks are independent.
fn spread(state: usize, weight: f64, outcomes: &[Outcomes], next: &mut [f64]) {
    if weight == 0.0 {
        return;
    }
    let Some((first, rest)) = outcomes.split_first() else {
        next[state] += weight;
        return;
    };
    let place = IDS.pow((LENGTH - 1 - first.position) as u32);
    spread(state, weight * first.stays, rest, next);
    for (token, p) in first.tokens.iter().enumerate() {
        spread(state - (TOKENS - token) * place, weight * p, rest, next);
    }
}

/// The order of convergence: minus the slope of ln `errors` over ln `forwards`, by least squares.
pub(crate) fn order(forwards: &[usize], errors: &[f64]) -> f64 {
    let n = forwards.len() as f64;
    let x: Vec<f64> = forwards.iter().map(|&forwards| (forwards as f64).ln()).collect();
    let y: Vec<f64> = errors.iter().map(|error| error.ln()).collect();
    let [mean_x, mean_y] = [&x, &y].map(|values| values.iter().sum::<f64>() / n);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        covariance += (x - mean_x) * (y - mean_y);
        variance += (x - mean_x).powi(2);
    }
    -covariance / variance
}
