//! The constrained step against brute force: all strings of tiny vocabularies are enumerated.

use std::collections::{BTreeMap, BTreeSet};

use llada_core::rng::{Domain, Noise, Stream};

use super::*;
use crate::{SpecialTokens, decoder::Prediction};
use llada_core::confidence::Remasking;

const MASK: u32 = 9;
const TOLERANCE: f64 = 1e-9;

/// A random automaton, a random canvas, and random logits for it.
struct Case {
    transitions: BTreeMap<(u32, u32), u32>,
    is_accepting: Vec<bool>,
    /// The number of tokens; the one after the last is end-of-text.
    tokens: u32,
    may_end: bool,
    canvas: Vec<u32>,
    block_end: usize,
    logits: Vec<Vec<f32>>,
    temperature: f64,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Noise::new(seed).stream(0, 0, 0);
        let tokens = 2 + random.below(3) as u32;
        let states = 1 + random.below(4) as u32;
        let mut transitions = BTreeMap::new();
        for state in 0..states {
            for token in (0..tokens).filter(|_| random.uniform() < 0.6).collect::<Vec<u32>>() {
                transitions.insert((state, token), random.below(u64::from(states)) as u32);
            }
        }
        let is_accepting = (0..states).map(|_| random.uniform() < 0.4).collect();
        let length = 1 + random.below(5) as usize;
        let may_end = random.uniform() < 0.7;
        let given = |random: &mut Stream| random.below(u64::from(tokens) + u64::from(may_end)) as u32;
        let block_end = 1 + random.below(length as u64) as usize;
        let mut canvas = vec![MASK; length];
        for id in &mut canvas[..block_end] {
            if random.uniform() < 0.3 {
                *id = given(&mut random);
            }
        }
        let logit = |random: &mut Stream| (4.0 * random.uniform() - 2.0) as f32;
        let logits = (0..length).map(|_| (0..=tokens).map(|_| logit(&mut random)).collect::<Vec<f32>>()).collect();
        let temperature = [0.0, 0.7, 1.0][random.below(3) as usize];
        Self { transitions, is_accepting, tokens, may_end, canvas, block_end, logits, temperature }
    }

    fn region(&self) -> Region {
        let transitions: Vec<_> = self.transitions.iter().map(|(&(from, token), &to)| (from, token, to)).collect();
        let dfa = TokenDfa::from_transitions(self.tokens as usize, &transitions, &self.is_accepting).unwrap();
        let length = self.canvas.len();
        let language = if self.may_end {
            Language::of_answer(Arc::new(dfa), SpecialTokens { eos: self.tokens, eot: None })
        } else {
            Language::of_length(Arc::new(dfa), length)
        };
        Region::new(language, 0..length)
    }

    fn accepts(&self, string: &[u32]) -> bool {
        let text = string.iter().position(|&token| token == self.tokens).unwrap_or(string.len());
        if string[text..].iter().any(|&token| token != self.tokens) || (text < string.len() && !self.may_end) {
            return false;
        }
        let mut state = Some(0);
        for &token in &string[..text] {
            state = state.and_then(|state| self.transitions.get(&(state, token)).copied());
        }
        state.is_some_and(|state| self.is_accepting[state as usize])
    }

    /// Enumerates the valid completions.
    fn completions(&self) -> Vec<Vec<u32>> {
        let mut strings = vec![Vec::new()];
        for &id in &self.canvas {
            let choices = if id == MASK { 0..self.tokens + 1 } else { id..id + 1 };
            strings = strings
                .iter()
                .flat_map(|string: &Vec<u32>| choices.clone().map(|token| [string.as_slice(), &[token]].concat()))
                .collect();
        }
        strings.retain(|string| self.accepts(string));
        strings
    }

    fn wanted(&self) -> impl Iterator<Item = usize> {
        (0..self.block_end).filter(|&position| self.canvas[position] == MASK)
    }

    fn score(&self, string: &[u32]) -> f64 {
        self.wanted().map(|position| f64::from(self.logits[position][string[position] as usize])).sum()
    }

    fn measures(&self) -> Measures {
        Measures {
            temperature: self.temperature,
            confidence_temperature: 1.0,
            remasking: Remasking::Margin,
            needs_entropy: true,
        }
    }

    fn reduced(&self, region: &Region, seed: u64) -> (Vec<Prediction>, Vec<Option<Reduced>>) {
        let (mut predictions, mut reduced) = (Vec::new(), Vec::new());
        for position in self.wanted() {
            let noise = Noise::new(seed).domain(Domain::Token).stream(0, 0, position as u32);
            let logits = Logits { measured: &self.logits[position], picked: None };
            predictions.push(Prediction { position, ..Default::default() });
            reduced.push(Some(region.reduce(position, logits, self.measures(), &noise)));
        }
        (predictions, reduced)
    }
}

fn assert_close(found: f64, expected: f64, what: &str, seed: u64) {
    assert!((found - expected).abs() < TOLERANCE, "seed {seed}, {what}: {found} instead of {expected}");
}

/// Feasibility, forced tokens, the best completion, and the probability of every token given the constraint.
#[test]
fn a_step_agrees_with_brute_force() {
    let mut feasible = 0;
    for seed in 0..6000 {
        let case = Case::new(seed);
        let mut region = case.region();
        let completions = case.completions();
        assert_eq!(region.update(&case.canvas, MASK, case.block_end), !completions.is_empty(), "seed {seed}");
        assert_eq!(region.is_completable(&case.canvas, MASK), !completions.is_empty(), "seed {seed}");
        if completions.is_empty() {
            continue;
        }
        feasible += 1;
        let mut forced = Vec::new();
        for position in case.wanted() {
            let tokens: BTreeSet<u32> = completions.iter().map(|string| string[position]).collect();
            if tokens.len() == 1 {
                forced.extend(tokens.first().map(|&token| (position, token)));
            }
        }
        let found: Vec<_> = region.forced().filter(|(position, _)| *position < case.block_end).collect();
        assert_eq!(found, forced, "seed {seed}");

        let (mut predictions, reduced) = case.reduced(&region, seed);
        let log_mass = region.predict(&mut predictions, &reduced, case.measures(), |_| 0.5);
        let picked_in = |string: &&Vec<u32>| predictions.iter().all(|pick| string[pick.position] == pick.token);
        let picked = completions.iter().find(picked_in).unwrap_or_else(|| panic!("seed {seed}: {predictions:?}"));
        if case.temperature == 0.0 {
            let best = completions.iter().map(|string| case.score(string)).fold(f64::NEG_INFINITY, f64::max);
            assert_close(case.score(picked), best, "best completion", seed);
        }

        // Completions that differ after the block only are one event.
        let mut events: BTreeMap<&[u32], f64> = BTreeMap::new();
        for string in &completions {
            events.insert(&string[..case.block_end], case.score(string).exp());
        }
        let total: f64 = events.values().sum();
        let all: f64 = case
            .wanted()
            .map(|position| case.logits[position].iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln())
            .sum();
        if !predictions.is_empty() {
            assert_close(log_mass, total.ln() - all, "log-mass", seed);
        }
        let chain = region.chain(&predictions, &reduced);
        let messages = chain.backward(|class| class.weight, false);
        let picks = chain.pick(&messages, case.temperature);
        let marginals = chain.marginals(&messages, &picks, case.measures());
        for (pick, marginal) in picks.iter().zip(marginals) {
            let position = case.canvas.iter().position(|&id| id == MASK).unwrap() + pick.position;
            let mut probabilities = vec![0.0; case.tokens as usize + 1];
            for (string, weight) in &events {
                probabilities[string[position] as usize] += weight / total;
            }
            assert_close(marginal.probability, probabilities[pick.token as usize], "marginal", seed);
            let entropy: f64 = probabilities.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
            assert_close(marginal.entropy, entropy, "entropy", seed);
            probabilities.sort_by(|a, b| b.total_cmp(a));
            assert_close(marginal.margin, probabilities[0] - probabilities[1], "margin", seed);
        }
    }
    assert!(feasible > 2000, "{feasible}");
}

/// The picks' conditional probabilities from left to right multiply to the probability of the completion given the
/// constraint, at any temperature.
#[test]
fn samples_have_the_conditional_distribution() {
    for seed in 0..2000 {
        let case = Case { temperature: 0.7, ..Case::new(seed) };
        let mut region = case.region();
        if !region.update(&case.canvas, MASK, case.block_end) || case.wanted().next().is_none() {
            continue;
        }
        let (predictions, reduced) = case.reduced(&region, seed);
        let chain = region.chain(&predictions, &reduced);
        let messages = chain.backward(|class| class.pick_weight, false);
        let mut events: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
        for string in case.completions() {
            let weight = (case.score(&string) / case.temperature).exp();
            events.insert(string[..case.block_end].to_vec(), weight);
        }
        let total: f64 = events.values().sum();
        let first = case.canvas.iter().position(|&id| id == MASK).unwrap();
        for (string, weight) in &events {
            let mut state = chain.lattice.front(0)[0];
            let mut log_p = 0.0;
            for (position, reduced) in chain.positions.iter().enumerate() {
                let class = chain.language.class(string[first + position]).unwrap();
                let next = chain.language.next(state, class).unwrap();
                let place = |front: usize, state: u32| {
                    chain.lattice.front(front).iter().position(|&other| other == state).unwrap()
                };
                if reduced.is_some() {
                    let own = f64::from(case.logits[first + position][string[first + position] as usize]);
                    log_p += own / case.temperature;
                }
                log_p += messages.fronts[position + 1][place(position + 1, next)];
                log_p -= messages.fronts[position][place(position, state)] + messages.shifts[position];
                state = next;
            }
            assert_close(log_p.exp(), weight / total, "conditional", seed);
        }
    }
}

/// Frequencies of the samples themselves, within five standard deviations.
#[test]
fn samples_have_their_frequencies() {
    let case = (0..).map(Case::new).find(|case| case.completions().len() > 5 && case.wanted().count() > 1).unwrap();
    let case = Case { temperature: 0.7, ..case };
    let mut region = case.region();
    assert!(region.update(&case.canvas, MASK, case.block_end));
    let mut weights: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
    for string in case.completions() {
        weights.insert(case.wanted().map(|position| string[position]).collect(), (case.score(&string) / 0.7).exp());
    }
    let total: f64 = weights.values().sum();
    let mut counts: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
    const SAMPLES: u32 = 20_000;
    for seed in 0..u64::from(SAMPLES) {
        let (mut predictions, reduced) = case.reduced(&region, seed);
        region.predict(&mut predictions, &reduced, case.measures(), |_| 0.5);
        *counts.entry(predictions.iter().map(|pick| pick.token).collect()).or_default() += 1.0;
    }
    for (string, weight) in weights {
        let p = weight / total;
        let expected = p * f64::from(SAMPLES);
        let deviation = (expected * (1.0 - p)).sqrt();
        let count = counts.get(&string).copied().unwrap_or(0.0);
        assert!((count - expected).abs() <= 5.0 * deviation + 1.0, "{string:?}: {count} instead of {expected}");
    }
}
