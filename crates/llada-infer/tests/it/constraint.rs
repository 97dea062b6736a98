//! Constrained requests: whatever the options, the answer lies in the language.

use std::{collections::BTreeMap, convert::Infallible, num::NonZeroUsize, ops::ControlFlow, ops::Range, sync::Arc};

use llada_core::{
    automaton::TokenDfa,
    confidence::Remasking,
    predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row},
    rng::{Noise, Stream},
};
use llada_infer::{
    CacheKind, DecoderKind, Engine, Event, LengthConfig, LengthKind, Request, SamplerConfig, SpecialTokens,
    length::Daedal,
};

use crate::{lively, refreshed};

/// Text tokens, then end-of-text, end-of-turn, the mask, and a row of padding.
const TEXTS: u32 = 8;
const SPECIAL: SpecialTokens = SpecialTokens { eos: TEXTS, eot: Some(TEXTS + 1) };
const MASK: u32 = TEXTS + 2;
const WIDTH: usize = 12;

/// A model whose logits are random numbers that depend on all ids of the row.
struct Random;

/// The logits of the wanted positions, by row.
struct RandomHidden(Vec<Vec<f32>>);

impl MaskPredictor for Random {
    type Error = Infallible;
    type Hidden<'a> = RandomHidden;

    fn padded_vocab_size(&self) -> usize {
        WIDTH
    }

    fn mask_id(&self) -> u32 {
        MASK
    }

    fn banned(&self) -> &[u32] {
        &[MASK, MASK + 1]
    }

    fn max_sequence_length(&self) -> usize {
        64
    }

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<RandomHidden, Infallible> {
        let mut rows = Vec::new();
        for row in batch {
            let seed = row.ids.iter().fold(row.ids.len() as u64, |hash, &id| {
                (hash ^ u64::from(id)).wrapping_mul(0x100_0000_01b3).rotate_left(17)
            });
            let mut logits = Vec::new();
            for &position in row.wanted {
                let mut noise = Noise::new(seed).stream(0, 0, position as u32);
                logits.extend((0..WIDTH).map(|_| (8.0 * noise.uniform() - 4.0) as f32));
            }
            rows.push(logits);
        }
        Ok(RandomHidden(rows))
    }

    fn release(&mut self, _slot: CacheSlot) {}

    fn kept_bytes(&self, _length: usize, _recompute: &Recompute) -> usize {
        0
    }
}

impl Hidden for RandomHidden {
    type Error = Infallible;

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Infallible> {
        out.clear();
        out.extend_from_slice(&self.0[row][range.start * WIDTH..range.end * WIDTH]);
        Ok(())
    }
}

fn engine() -> Engine<Random> {
    Engine::new(Random, SPECIAL)
}

/// A random automaton over the text tokens.
fn automaton(random: &mut Stream) -> Arc<TokenDfa> {
    let states = 1 + random.below(5) as u32;
    let density = [0.15, 0.4, 0.8][random.below(3) as usize];
    let mut transitions = Vec::new();
    for state in 0..states {
        for token in 0..TEXTS {
            if random.uniform() < density {
                transitions.push((state, token, random.below(u64::from(states)) as u32));
            }
        }
    }
    let is_accepting: Vec<bool> = (0..states).map(|_| random.uniform() < 0.4).collect();
    Arc::new(TokenDfa::from_transitions(TEXTS as usize, &transitions, &is_accepting).unwrap())
}

/// The automaton of one string.
fn only(string: &[u32]) -> Arc<TokenDfa> {
    let transitions: Vec<_> = (0..).zip(string).map(|(state, &token)| (state, token, state + 1)).collect();
    let is_accepting: Vec<bool> = (0..=string.len()).map(|state| state == string.len()).collect();
    Arc::new(TokenDfa::from_transitions(TEXTS as usize, &transitions, &is_accepting).unwrap())
}

/// The automaton of all strings, in two states.
fn everything() -> Arc<TokenDfa> {
    let transitions: Vec<_> = (0..TEXTS).flat_map(|token| [(0, token, 1), (1, token, token % 2)]).collect();
    Arc::new(TokenDfa::from_transitions(TEXTS as usize, &transitions, &[true, true]).unwrap())
}

fn choose<T: Clone>(random: &mut Stream, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize].clone()
}

/// Options of every kind that go together.
fn config(random: &mut Stream) -> SamplerConfig {
    let length = choose(random, LengthKind::ALL);
    let decoders = [DecoderKind::Threshold, DecoderKind::Factor, DecoderKind::Klass, DecoderKind::LocalLeap];
    let is_daedal = length == LengthKind::Daedal;
    let decoder = choose(random, if is_daedal { &decoders } else { DecoderKind::ALL });
    let gen_length = 1 + random.below(14) as usize;
    let block_length = choose(random, &[1, 2, 3, 5, gen_length]).min(gen_length);
    let blocks = gen_length.div_ceil(block_length);
    let interval = 1 + random.below(3) as usize;
    let budget = blocks + random.below(3) as usize;
    let aligned_blocks = random.below(4) == 0;
    SamplerConfig {
        gen_length,
        block_length: Some(block_length),
        aligned_blocks,
        steps: Some(blocks + random.below(2 * gen_length as u64) as usize),
        length: match length {
            LengthKind::Daedal => LengthConfig::Daedal(Daedal { initial_gen_length: 3 }),
            length => length.into(),
        },
        decoder: lively(decoder),
        cache: refreshed(choose(random, CacheKind::ALL), interval),
        remasking: choose(
            random,
            &[Remasking::LowConfidence, Remasking::Random, Remasking::Margin, Remasking::Entropy],
        ),
        temperature: choose(random, &[0.0, 0.0, 0.7, 1.0]),
        top_k: choose(random, &[None, None, Some(2)]),
        top_p: choose(random, &[None, None, Some(0.5)]),
        cfg_scale: choose(random, &[0.0, 0.0, 1.5]),
        max_nfe: choose(random, &[None, Some(budget)]).filter(|_| !is_daedal && !aligned_blocks),
        logits_eos_inf: random.below(4) == 0 && !is_daedal,
        confidence_eos_eot_inf: random.below(4) == 0,
        stop_at_eos: random.below(2) == 0,
        seed: random.below(1000),
        ..Default::default()
    }
}

/// Returns true if an answer is a string of the automaton, then end-of-text or end-of-turn, and then nothing but end-of-text.
fn is_valid(dfa: &TokenDfa, output: &[u32]) -> bool {
    let text = SPECIAL.cut(output);
    let rest = output.get(text.len() + 1..).unwrap_or_default();
    dfa.accepts(text) && (is_everything(dfa) || rest.iter().all(|&id| id == SPECIAL.eos))
}

/// Returns true if every text is a string of the automaton, which then is no constraint.
fn is_everything(dfa: &TokenDfa) -> bool {
    let is_total = |state: u32| {
        let tokens: usize = dfa.edges(state).iter().map(|edge| dfa.members(edge.class).len()).sum();
        dfa.is_accepting(state) && tokens == TEXTS as usize
    };
    (0..dfa.states() as u32).all(is_total)
}

/// Returns true if the automaton has a string of a length.
fn has_string_of(dfa: &TokenDfa, length: usize) -> bool {
    let mut states = std::collections::BTreeSet::from([dfa.start()]);
    for _ in 0..length {
        states = states.iter().flat_map(|&state| dfa.edges(state)).map(|edge| edge.to).collect();
    }
    states.iter().any(|&state| dfa.is_accepting(state))
}

fn random_request(seed: u64) -> (Arc<TokenDfa>, Request) {
    let mut random = Noise::new(seed).stream(0, 0, 0);
    let (dfa, config) = (automaton(&mut random), config(&mut random));
    let prompt: Vec<u32> = (0..random.below(4)).map(|_| random.below(u64::from(TEXTS)) as u32).collect();
    (Arc::clone(&dfa), Request::new(prompt, config).with_constraint(dfa))
}

/// Every decoder, cache, length policy and measure, guided or not, drawn or not, within a budget or not: an answer that can
/// be valid is, and one that cannot is refused before the first forward.
#[test]
fn whole_answers_lie_in_the_language() {
    let mut generated = BTreeMap::new();
    for seed in 0..6000 {
        let (dfa, request) = random_request(seed);
        let config = &request.config;
        let is_possible = if config.logits_eos_inf {
            has_string_of(&dfa, config.gen_length)
        } else {
            dfa.distance(dfa.start()).is_some_and(|shortest| shortest <= config.gen_length)
        };
        match engine().generate(&request) {
            Err(error) => assert!(!is_possible, "seed {seed}: {error}"),
            Ok(answer) => {
                assert!(is_possible, "seed {seed}");
                assert!(is_valid(&dfa, &answer.output), "seed {seed}: {:?} {config:?}", answer.output);
                assert!(config.max_nfe.is_none_or(|most| answer.nfe <= most), "seed {seed}");
                let entry: &mut usize = generated.entry(config.decoder.to_string()).or_default();
                *entry += 1;
            }
        }
    }
    assert_eq!(generated.len(), DecoderKind::ALL.len());
    assert!(generated.values().all(|&count| count > 50), "{generated:?}");
}

#[test]
fn a_row_in_a_batch_is_the_row_alone() {
    for seed in 0..100 {
        let requests: Vec<Request> = (0..5).map(|row| random_request(5 * seed + row).1).collect();
        let requests: Vec<Request> =
            requests.into_iter().filter(|request| engine().validate(request).is_ok()).collect();
        let together = engine().generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
        for (request, together) in requests.iter().zip(together) {
            assert_eq!(engine().generate(request).unwrap(), together, "seed {seed}");
        }
    }
}

/// Hurried at any time, an answer is valid, if need be by as many tokens as a valid one takes at least.
#[test]
fn a_hurried_answer_is_valid() {
    for seed in 0..2000 {
        let (dfa, request) = random_request(seed);
        let mut engine = engine();
        let Ok(job) = engine.submit(request) else { continue };
        let (mut steps, mut answer) = (0, None);
        while answer.is_none() {
            if steps == seed % 4 {
                engine.hurry(job, NonZeroUsize::new(1 + seed as usize % 2).unwrap());
            }
            steps += 1;
            engine.step(usize::MAX, |_, event| match event {
                Event::Finished(generation) => answer = Some(generation),
                Event::Failed(error) => panic!("seed {seed}: {error}"),
                _ => (),
            });
        }
        let output = answer.unwrap().output;
        assert!(is_valid(&dfa, &output), "seed {seed}: {output:?}");
    }
}

/// A constraint that leaves nothing to choose needs no forward, with any decoder, cache and length policy.
#[test]
fn one_string_takes_no_forward() {
    for seed in 0..2000 {
        let mut random = Noise::new(seed).stream(0, 0, 0);
        let mut config = config(&mut random);
        let length = random.below(config.gen_length as u64 + 1) as usize;
        let length = if config.logits_eos_inf { config.gen_length } else { length };
        let string: Vec<u32> = (0..length).map(|_| random.below(u64::from(TEXTS)) as u32).collect();
        // An end may be end-of-text or end-of-turn, which is a choice.
        config.stop_at_eos = false;
        // The last of the aligned blocks may reach beyond the answer.
        config.aligned_blocks = false;
        let request = Request::new([1, 2], config.clone()).with_constraint(only(&string));
        let mut engine = Engine::new(Random, SpecialTokens { eot: None, ..SPECIAL });
        let validated = engine.generate(&request);
        if config.confidence_eos_eot_inf && validated.is_err() {
            continue;
        }
        let answer = validated.unwrap();
        assert_eq!(answer.nfe, 0, "seed {seed}: {config:?}");
        assert!(answer.output.starts_with(&string), "seed {seed}");
        assert!(answer.output[length..].iter().all(|&id| id == SPECIAL.eos), "seed {seed}");
        assert_eq!(answer.forced(), answer.trace.canvas.len() - 2, "seed {seed}");
        assert_eq!(answer.log_mass(), None);
    }
}

/// The same tokens, the same steps, the same confidences.
#[test]
fn a_constraint_that_accepts_everything_changes_nothing() {
    for seed in 0..1000 {
        let mut random = Noise::new(seed).stream(0, 0, 0);
        let free = Request::new([MASK, 2], config(&mut random));
        let constrained = free.clone().with_constraint(everything());
        match (engine().generate(&free), engine().generate(&constrained)) {
            (Ok(free), Ok(constrained)) => assert_eq!(free, constrained, "seed {seed}"),
            (free, constrained) => {
                assert_eq!(free.unwrap_err().to_string(), constrained.unwrap_err().to_string(), "seed {seed}");
            }
        }
    }
}

#[test]
fn holes_have_patterns_of_their_own() {
    for seed in 0..2000 {
        let mut random = Noise::new(seed).stream(0, 0, 0);
        let lengths = [1 + random.below(4) as usize, 1 + random.below(4) as usize];
        let prompt = [vec![1], vec![MASK; lengths[0]], vec![2, 3], vec![MASK; lengths[1]], vec![4]].concat();
        let dfas = [automaton(&mut random), automaton(&mut random)];
        let mut config = config(&mut random);
        if random.below(2) == 0 {
            config.gen_length = 0;
            config.max_nfe = None;
        }
        let request = Request::new(prompt, config.clone());
        let constrained = request.clone().with_hole_constraints(dfas.iter().cloned().map(Some).collect());
        let is_possible = dfas.iter().zip(lengths).all(|(dfa, length)| has_string_of(dfa, length));
        match engine().generate(&constrained) {
            Ok(answer) => {
                assert!(is_possible, "seed {seed}");
                let second = 3 + lengths[0];
                for (dfa, hole) in dfas.iter().zip([1..1 + lengths[0], second..second + lengths[1]]) {
                    assert!(dfa.accepts(&answer.prompt[hole]), "seed {seed}: {:?}", answer.prompt);
                }
            }
            Err(_) => assert!(!is_possible || engine().validate(&request).is_err(), "seed {seed}"),
        }
    }
}

/// What is forced comes with the step that forces it, and is reported apart.
#[test]
fn forced_tokens_are_reported() {
    // 5 or 6, then 7, whatever came first.
    let transitions = [(0, 5, 1), (0, 6, 1), (1, 7, 2)];
    let dfa = Arc::new(TokenDfa::from_transitions(TEXTS as usize, &transitions, &[false, false, true]).unwrap());
    let config = SamplerConfig { gen_length: 2, ..Default::default() };
    let mut observed = Vec::new();
    let request = Request::new([0], config).with_constraint(dfa);
    let answers = engine()
        .generate_batch(&[request], |progress| {
            let masks = progress.canvas.iter().filter(|&&id| id == MASK).count();
            assert_eq!(masks, 1 - observed.len());
            observed.push(progress.step.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((answers[0].nfe, answers[0].forced()), (1, 1));
    assert_eq!(answers[0].trace.steps, observed);
    // Before the first forward, the last position is forced; then there are two tokens to choose from.
    assert_eq!((observed[0].nfe, observed[0].forced.as_slice()), (0, [2].as_slice()));
    assert_eq!((observed[1].nfe, observed[1].commits.len()), (1, 1));
    assert!(answers[0].log_mass().unwrap() < 0.0);
}

#[test]
fn impossible_constraints_are_refused() {
    let refusal = |gen_length: usize, request: fn(Request) -> Request| {
        let config = SamplerConfig { gen_length, ..Default::default() };
        let error = engine().generate(&request(Request::new([1, MASK, MASK], config))).unwrap_err();
        format!("{error}; {}", error.hint().unwrap())
    };
    assert_eq!(
        refusal(2, |request| request.with_constraint(only(&[1, 2, 3]))),
        "the shortest valid answer has 3 tokens, gen_length is 2; gen_length 3 or more"
    );
    assert_eq!(
        refusal(2, |request| request.with_hole_constraints(vec![Some(only(&[1, 2, 3]))])),
        "no valid text has exactly the 2 tokens from position 1 on; the shortest valid text has 3 tokens"
    );
    assert_eq!(
        refusal(2, |request| request.with_hole_constraints(vec![None, None])),
        "there are 2 constraints for the 1 runs of masks in the prompt; give one for each run, in their order"
    );
    let nothing = || Arc::new(TokenDfa::from_transitions(1, &[(0, 0, 0)], &[false]).unwrap());
    let config = SamplerConfig { gen_length: 4, ..Default::default() };
    let error = engine().generate(&Request::new([1], config.clone()).with_constraint(nothing())).unwrap_err();
    assert_eq!(error.hint().unwrap().to_string(), "no text at all satisfies it");
    for token in [SPECIAL.eos, SPECIAL.eot.unwrap(), MASK, MASK + 1] {
        let dfa = TokenDfa::from_transitions(WIDTH + 5, &[(0, token, 0), (0, 1, 0)], &[true]).unwrap();
        let error = engine().generate(&Request::new([1], config.clone()).with_constraint(Arc::new(dfa))).unwrap_err();
        let expected =
            format!("the constraint emits the id {token}, which is banned, special, or no token of the model");
        assert_eq!(error.to_string(), expected);
    }
}
