//! What each decoder commits of known predictions, and the equalities between decoders, caches and budgets.

use std::ops::ControlFlow;

use llada_core::{predictor::MaskPredictor, tabular::TabularPredictor};
use llada_infer::{
    CacheKind, DecoderConfig, DecoderKind, Engine, Event, Generation, SamplerConfig,
    decoder::{Dream, EntropyBounded, Factor, Klass, Threshold},
};
use proptest::prelude::*;

use crate::{MASK, TOKENS, engine, lively, refreshed, request};

pub(crate) const LENGTH: usize = 7;

pub(crate) fn generate(engine: &mut Engine<TabularPredictor>, config: &SamplerConfig) -> Generation {
    engine.generate(&request(&[1], config.clone())).unwrap()
}

pub(crate) fn config(decoder: DecoderKind, cache: CacheKind) -> SamplerConfig {
    SamplerConfig {
        decoder: lively(decoder),
        cache: cache.into(),
        gen_length: 6,
        block_length: Some(3),
        temperature: 0.7,
        ..Default::default()
    }
}

/// Independent positions, whose token 0 has these probabilities; the others share the rest.
pub(crate) fn independent(sure: &[f64]) -> Engine<TabularPredictor> {
    let joint = (0..TOKENS.pow(sure.len() as u32)).map(|index| {
        let token = |position: usize| index / TOKENS.pow((sure.len() - 1 - position) as u32) % TOKENS;
        let p = |(position, &p): (usize, &f64)| if token(position) == 0 { p } else { (1.0 - p) / 3.0 };
        sure.iter().enumerate().map(p).product()
    });
    Engine::new(TabularPredictor::new(TOKENS, sure.len(), joint.collect()).unwrap(), crate::SPECIAL)
}

/// The positions that each step commits of an answer alone.
pub(crate) fn steps(
    engine: &mut Engine<TabularPredictor>,
    decoder: impl Into<DecoderConfig>,
    change: impl FnOnce(&mut SamplerConfig),
) -> Vec<Vec<usize>> {
    let gen_length = engine.predictor().max_sequence_length();
    let mut config = SamplerConfig { decoder: decoder.into(), gen_length, ..Default::default() };
    change(&mut config);
    let trace = engine.generate(&request(&[], config)).unwrap().trace;
    trace.steps.iter().map(|step| step.commits.iter().map(|commit| commit.position).collect()).collect()
}

pub(crate) fn first_step(
    sure: &[f64],
    decoder: impl Into<DecoderConfig>,
    change: impl FnOnce(&mut SamplerConfig),
) -> Vec<usize> {
    steps(&mut independent(sure), decoder, change).swap_remove(0)
}

pub(crate) fn threshold(threshold: f32) -> DecoderConfig {
    DecoderConfig::Threshold(Threshold { threshold, ..Default::default() })
}

fn entropy_bounded(gamma: f32) -> DecoderConfig {
    DecoderConfig::EntropyBounded(EntropyBounded { gamma })
}

#[test]
fn decoders_commit_what_their_papers_say() {
    let sure = [0.95, 0.5, 0.8, 0.97, 0.6, 0.76];
    let plain = |decoder| first_step(&sure, decoder, |_| ());
    assert_eq!(plain(DecoderKind::Schedule), [3]);
    assert_eq!(plain(DecoderKind::Threshold), [0, 3]);
    assert_eq!(first_step(&sure, threshold(0.7), |_| ()), [0, 2, 3, 5]);
    assert_eq!(first_step(&sure, threshold(0.99), |_| ()), [3]);
    // 3 · 0.05 = 0.15, 4 · 0.2 = 0.8, 5 · 0.24 = 1.2.
    assert_eq!(plain(DecoderKind::Factor), [0, 2, 3]);
    assert_eq!(first_step(&sure, DecoderConfig::Factor(Factor { factor: 0.2 }), |_| ()), [0, 3]);
    // Anchors at 0 and 3: 2 and 5 are near and confident enough, 4 and 1 are near but not confident.
    assert_eq!(plain(DecoderKind::LocalLeap), [0, 2, 3, 5]);
    // One run of masks: its most confident prediction, and all above 0.9.
    assert_eq!(plain(DecoderKind::Hierarchical), [0, 3]);
    assert_eq!(first_step(&[0.35, 0.3], DecoderKind::Hierarchical, |_| ()), [0]);
    // Entropies 0.17 and 0.25 nats: together they ignore at most 0.17.
    let sure = [0.97, 0.95, 0.5];
    assert_eq!(first_step(&sure, DecoderKind::EntropyBounded, |_| ()), [0]);
    assert_eq!(first_step(&sure, entropy_bounded(0.2), |_| ()), [0, 1]);
    assert_eq!(first_step(&sure, entropy_bounded(9.0), |_| ()), [0, 1, 2]);
}

/// As the block fills up, 0.9 falls to 0.9 · (1 − 0.8 · 1/5) = 0.756, 0.612 and 0.468.
#[test]
fn a_threshold_falls_as_its_block_fills() {
    let by = |confidence_alpha, change: fn(&mut SamplerConfig)| {
        let decoder = DecoderConfig::Threshold(Threshold { confidence_alpha, ..Default::default() });
        steps(&mut independent(&[0.95, 0.73, 0.8, 0.6, 0.5]), decoder, change)
    };
    assert_eq!(by(0.0, |_| ()), [vec![0], vec![2], vec![1], vec![3], vec![4]]);
    assert_eq!(by(0.8, |_| ()), [vec![0], vec![2], vec![1], vec![3, 4]]);
    // With an α of 1 what counts is the share that is masked, of the block alone.
    assert_eq!(by(1.0, |_| ()), [vec![0], vec![1, 2], vec![3, 4]]);
    assert_eq!(by(1.0, |config| config.block_length = Some(3)), [vec![0], vec![1, 2], vec![3], vec![4]]);
}

/// The tokens around a gap are no part of what has been filled.
#[test]
fn a_threshold_does_not_fall_for_what_was_given() {
    let mut engine = independent(&[0.5, 0.5, 0.8, 0.85, 0.5]);
    let decoder = DecoderConfig::Threshold(Threshold { confidence_alpha: 0.8, ..Default::default() });
    let config = SamplerConfig { decoder, gen_length: 0, ..Default::default() };
    let answer = engine.generate(&request(&[0, 0, MASK, MASK, 0], config)).unwrap();
    assert_eq!(answer.trace.steps.iter().map(|step| step.commits.len()).collect::<Vec<_>>(), [1, 1]);
}

/// Under full load a threshold that follows it is lower, and no other is; the load of a step is that of its time.
#[test]
fn a_threshold_follows_the_load_if_it_is_asked_to() {
    let run = |load_alpha, loads: &[f32]| {
        let mut engine = independent(&[0.95, 0.5, 0.8, 0.6]);
        let decoder = DecoderConfig::Threshold(Threshold { load_alpha, ..Default::default() });
        let config = SamplerConfig { decoder, gen_length: 4, ..Default::default() };
        let id = engine.submit(request(&[], config)).unwrap();
        let mut steps: Vec<Vec<usize>> = Vec::new();
        for &load in loads {
            engine.set_load(load);
            engine.advance(&[id], |_, event| {
                if let Event::Step(progress) = event {
                    steps.push(progress.step.commits.iter().map(|commit| commit.position).collect());
                }
            });
        }
        steps
    };
    let alone = [vec![0], vec![2], vec![3], vec![1]];
    assert_eq!(run(0.0, &[1.0; 4]), alone);
    assert_eq!(run(0.4, &[0.0, -3.0, f32::NAN, 0.0]), alone);
    // 0.9 · (1 − 0.4) = 0.54, and half of the way 0.72.
    assert_eq!(run(0.4, &[1.0, 0.0]), [vec![0, 2, 3], vec![1]]);
    assert_eq!(run(0.4, &[9.0, 0.0]), [vec![0, 2, 3], vec![1]]);
    assert_eq!(run(0.4, &[0.5, 0.0, 0.0]), [vec![0, 2], vec![3], vec![1]]);
}

/// Runs of masks are split where the prompt and earlier steps left them.
#[test]
fn hierarchical_takes_the_most_confident_of_every_run() {
    let steps = steps(&mut independent(&[0.6, 0.7, 0.99, 0.6, 0.5]), DecoderKind::Hierarchical, |_| ());
    assert_eq!(steps, [vec![2], vec![1, 3], vec![0, 4]]);
}

/// Of 8 masks in 4 steps: 8 · 0.24975 = 1.998, 7 · 0.3329 = 2.33, 5 · 0.499 = 2.495, and the rest.
#[test]
fn dream_commits_by_its_times() {
    let counts = |count| {
        let steps = steps(&mut engine(8, 6), DecoderKind::Dream, |config| config.steps = Some(count));
        steps.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(counts(4), [1, 2, 2, 3]);
    assert_eq!(counts(1), [8]);
    // The last time is not quite 0, so a token a step comes a little late.
    assert_eq!(counts(8), [0, 1, 1, 1, 1, 1, 1, 2]);
}

/// Without a temperature the most confident tokens are committed; with one, each as often as softmax(confidence / a) says.
#[test]
fn dream_draws_its_order() {
    let first = |alg_temp, seed| {
        let change = |config: &mut SamplerConfig| (config.seed, config.steps) = (seed, Some(2));
        first_step(&[0.5, 0.9, 0.7], DecoderConfig::Dream(Dream { alg_temp, ..Default::default() }), change)
    };
    assert_eq!(first(0.0, 0), [1]);
    let samples = 4000;
    let mut counts = [0.0; 3];
    (0..samples).for_each(|seed| counts[first(0.2, seed)[0]] += 1.0);
    for (count, p) in counts.into_iter().zip([0.090, 0.665, 0.245]) {
        let deviation = (samples as f64 * p * (1.0 - p)).sqrt();
        assert!((count - samples as f64 * p).abs() < 5.0 * deviation, "{counts:?}");
    }
}

/// Two divergences take three steps; until then, and where nothing is ready, the schedule's one.
#[test]
fn klass_waits_for_what_moves() {
    let sure = [0.95, 0.5, 0.97, 0.92, 0.91, 0.6];
    assert_eq!(
        steps(&mut independent(&sure), DecoderKind::Klass, |_| ()),
        [vec![2], vec![0], vec![3, 4], vec![5], vec![1]]
    );
    let lower = DecoderConfig::Klass(Klass { threshold: 0.55 });
    assert_eq!(
        steps(&mut independent(&sure), lower, |config| config.steps = Some(3)),
        [vec![0, 2], vec![3, 4], vec![5], vec![1]]
    );
    // The last three follow the second, at 0.95: its commit moves them above the threshold, after a step in which they
    // had not moved.
    let joint = (0..TOKENS.pow(5)).map(|index| {
        let p = [0.95, 0.05, 0.0, 0.0];
        match [256, 64, 16, 4, 1].map(|place| index / place % 4) {
            [0, 0, c, d, e] => 0.9 * 0.6 * p[c] * p[d] * p[e],
            [0, 1, 1, 1, 1] => 0.9 * 0.4,
            [1, 0, c, d, e] => 0.1 * 0.6 * p[c] * p[d] * p[e],
            [1, 1, 1, 1, 1] => 0.1 * 0.4,
            _ => 0.0,
        }
    });
    let mut moving = Engine::new(TabularPredictor::new(TOKENS, 5, joint.collect()).unwrap(), crate::SPECIAL);
    assert_eq!(steps(&mut moving, DecoderKind::Threshold, |_| ()), [vec![0], vec![1], vec![2, 3, 4]]);
    assert_eq!(steps(&mut moving, DecoderKind::Klass, |_| ()), [[0], [1], [2], [3], [4]]);
    // Each position has its own memory, however many there are.
    let mut certain = Engine::new(TabularPredictor::new(1, 100, vec![1.0]).unwrap(), crate::SPECIAL);
    assert_eq!(steps(&mut certain, DecoderKind::Klass, |_| ()), [vec![0], vec![1], (2..100).collect()]);
}

/// Unmoved, 0.8 becomes 0.865, 0.890 and 0.903: in the third step it is above the threshold.
#[test]
fn credit_grows_with_persistence() {
    let sure = [0.99, 0.8, 0.8, 0.5, 0.8];
    assert_eq!(steps(&mut independent(&sure), DecoderKind::Credit, |_| ()), [vec![0], vec![1], vec![2, 4], vec![3]]);
    // The second is 1 at first (0.58), and 0 (0.6) once the first is 0: both have credit, 0.8 · 0.58^0.2 and 0.6^0.2.
    let joint = (0..TOKENS.pow(2)).map(|index| match [index / 4, index % 4] {
        [0, b] => 0.7 * [0.6, 0.4, 0.0, 0.0][b],
        [1, 1] => 0.3,
        _ => 0.0,
    });
    let mut turning = Engine::new(TabularPredictor::new(TOKENS, 2, joint.collect()).unwrap(), crate::SPECIAL);
    let config = SamplerConfig { decoder: DecoderKind::Credit.into(), gen_length: 2, ..Default::default() };
    let answer = turning.generate(&request(&[], config)).unwrap();
    assert_eq!(answer.output, [0, 0]);
    let odds = 1.5 * ((1.0 + 0.6_f32.powf(0.2)) / (1.0 + 0.8 * 0.58_f32.powf(0.2))).powf(0.7);
    let confidence = answer.trace.steps[1].commits[0].confidence;
    assert!((confidence - odds / (1.0 + odds)).abs() < 1e-5, "{confidence}");
}

#[test]
fn the_limits_of_parallel_decoding_are_a_token_a_step() {
    let mut engine = engine(LENGTH, 1);
    let plain = generate(&mut engine, &config(DecoderKind::Schedule, CacheKind::None));
    let never = SamplerConfig { decoder: threshold(1.5), ..config(DecoderKind::Threshold, CacheKind::None) };
    assert_eq!(generate(&mut engine, &never), plain);
    let nothing = SamplerConfig {
        decoder: DecoderConfig::Factor(Factor { factor: 0.0 }),
        ..config(DecoderKind::Factor, CacheKind::None)
    };
    assert_eq!(generate(&mut engine, &nothing), plain);
    let all = SamplerConfig { decoder: threshold(0.0), ..config(DecoderKind::Threshold, CacheKind::None) };
    assert_eq!(generate(&mut engine, &all).nfe, 2);
}

#[test]
fn budgets_hold_and_large_ones_change_nothing() {
    for &decoder in DecoderKind::ALL {
        let mut engine = engine(LENGTH, 2);
        let free = config(decoder, CacheKind::None);
        let unlimited = generate(&mut engine, &free);
        let within =
            |max_nfe, engine: &mut _| generate(engine, &SamplerConfig { max_nfe: Some(max_nfe), ..free.clone() });
        assert_eq!(within(100, &mut engine), unlimited, "{decoder}");
        for max_nfe in 2..6 {
            let answer = within(max_nfe, &mut engine);
            assert!(answer.nfe <= max_nfe && answer.output.len() == 6, "{decoder}: {} of {max_nfe}", answer.nfe);
            assert!(!answer.output.contains(&MASK));
        }
    }
    let refused = SamplerConfig { max_nfe: Some(1), ..config(DecoderKind::Schedule, CacheKind::None) };
    let error = engine(LENGTH, 2).generate(&request(&[], refused)).unwrap_err().to_string();
    assert!(error.contains("max_nfe 1 is less than the 2 blocks"), "{error}");
}

/// Published code runs a second forward over a cached block that the first has filled.
#[test]
fn the_reference_counts_a_second_forward() {
    let fill = |cache, reference_compat| {
        let config =
            SamplerConfig { decoder: threshold(0.0), reference_compat, ..config(DecoderKind::Threshold, cache) };
        generate(&mut engine(LENGTH, 3), &config).nfe
    };
    assert_eq!([fill(CacheKind::None, true), fill(CacheKind::Dual, false), fill(CacheKind::Dual, true)], [2, 2, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_pair_is_the_same_alone_and_in_a_batch(
        pairs in prop::collection::vec((0..DecoderKind::ALL.len(), 0..CacheKind::ALL.len(), 1..4_usize, 0..9_u64), 1..6),
        cfg_scale in prop::sample::select(vec![0.0_f32, 1.0]),
    ) {
        let mut engine = engine(LENGTH, 4);
        let requests: Vec<_> = pairs.iter().map(|&(decoder, cache, interval, seed)| {
            let cache = CacheKind::ALL[cache];
            let config = config(DecoderKind::ALL[decoder], cache);
            request(&[1], SamplerConfig { cache: refreshed(cache, interval), cfg_scale, seed, ..config })
        }).collect();
        let together = engine.generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
        for (request, together) in requests.iter().zip(together) {
            prop_assert_eq!(engine.generate(request).unwrap(), together);
        }
    }

    /// Only masks are filled, but for edits; only revocable decoders take back; only in their block; and the trace tells
    /// all of it.
    #[test]
    fn traces_tell_everything(decoder in prop::sample::select(DecoderKind::ALL.to_vec()), seed in 0..50_u64) {
        let mut engine = engine(LENGTH, seed);
        let config = SamplerConfig { seed, ..config(decoder, CacheKind::None) };
        let mut canvases = vec![[vec![1], vec![MASK; 6]].concat()];
        let answers = engine.generate_batch(&[request(&[1], config)], |progress| {
            canvases.push(progress.canvas.to_vec());
            ControlFlow::Continue(())
        }).unwrap();
        let trace = &answers[0].trace;
        let is_revocable = decoder == DecoderKind::Wino || decoder.to_string().starts_with("remdm");
        for (step, canvases) in trace.steps.iter().zip(canvases.windows(2)) {
            let [before, after] = canvases else { unreachable!("windows of two") };
            prop_assert_eq!(&trace.canvas_at(step.step), after);
            prop_assert!(step.revoked.is_empty() || is_revocable);
            let block = 1 + 3 * step.block..4 + 3 * step.block;
            for commit in &step.commits {
                let token = before[commit.position];
                let is_edit = token != commit.token && block.contains(&commit.position);
                prop_assert!(token == MASK || decoder == DecoderKind::Llada2Edit && is_edit);
            }
            prop_assert!(step.revoked.iter().all(|&at| block.contains(&at) && before[at] != MASK));
        }
        for (position, at) in trace.committed_at().into_iter().enumerate() {
            let last = canvases.windows(2).rposition(|pair| pair[0][position] != pair[1][position]);
            prop_assert_eq!(at, last);
        }
    }

    /// What is before the first end of the text is final when an answer stops there.
    #[test]
    fn stopping_is_cutting(decoder in prop::sample::select(DecoderKind::ALL.to_vec()), seed in 0..50_u64) {
        let mut engine = engine(LENGTH, seed);
        let config = SamplerConfig { seed, ..config(decoder, CacheKind::None) };
        let mut whole = generate(&mut engine, &config).output;
        if let Some(end) = whole.iter().position(|&id| id == crate::SPECIAL.eos) {
            whole.truncate(end + 1);
        }
        let stopped = generate(&mut engine, &SamplerConfig { stop_at_eos: true, ..config });
        prop_assert_eq!(stopped.output, whole);
    }

    #[test]
    fn a_refresh_at_every_step_is_no_cache(
        decoder in prop::sample::select(DecoderKind::ALL.to_vec()),
        // The block cache never refreshes: it is for models in which nothing goes stale.
        cache in prop::sample::select([CacheKind::Prefix, CacheKind::Dual, CacheKind::Vicinity, CacheKind::Dllm].to_vec()),
        seed in 0..50_u64,
    ) {
        let mut engine = engine(LENGTH, seed);
        let refreshed = SamplerConfig { cache: refreshed(cache, 1), ..config(decoder, cache) };
        prop_assert_eq!(generate(&mut engine, &refreshed), generate(&mut engine, &config(decoder, CacheKind::None)));
    }
}

/// With one position a block no cache has anything to be wrong about: what it reuses is final or still a mask.
#[test]
fn caches_see_what_they_recompute() {
    let run = |cache| {
        let config = SamplerConfig { block_length: Some(1), ..config(DecoderKind::Schedule, cache) };
        generate(&mut engine(LENGTH, 5), &config).output
    };
    assert!(CacheKind::ALL.iter().copied().all(|cache| run(cache) == run(CacheKind::None)));
}
