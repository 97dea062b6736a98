//! Decoders that take tokens back: which, how often, and what is left of them where they take none back.

use llada_core::{tabular::TabularPredictor, trace::TraceStep};
use llada_infer::{
    CacheKind, DecoderConfig, DecoderKind, Engine, SamplerConfig,
    decoder::{RemdmOptions, Wino},
};

use crate::{
    TOKENS,
    decoders::{LENGTH, config, first_step, generate, independent, steps, threshold},
    engine, request,
};

fn wino(threshold: f32, threshold_back: f32) -> DecoderConfig {
    DecoderConfig::Wino(Wino { threshold, threshold_back })
}

/// The share of the tokens that is visible after each step of a remdm decoder, and that which the step takes back.
fn visible_and_revoked(decoder: DecoderConfig, steps: usize) -> Vec<[f64; 2]> {
    let samples = 4000;
    let mut engine = independent(&[0.9, 0.6, 0.3, 0.5]);
    let mut shares = vec![[0.0; 2]; steps];
    for seed in 0..samples {
        let config = SamplerConfig { gen_length: 4, steps: Some(steps), seed, ..Default::default() };
        let config = SamplerConfig { decoder, temperature: 1.0, ..config };
        let trace = engine.generate(&request(&[], config)).unwrap().trace;
        for (step, [visible, revoked]) in shares.iter_mut().enumerate() {
            *visible += trace.canvas_at(step).iter().filter(|&&id| id != crate::MASK).count() as f64;
            *revoked += trace.steps[step].revoked.len() as f64;
        }
    }
    shares.iter().map(|counts| counts.map(|count| count / (4 * samples) as f64)).collect()
}

#[track_caller]
fn near(found: f64, p: f64) {
    let deviation = (p * (1.0 - p) / 16_000.0).sqrt();
    assert!((found - p).abs() <= 5.0 * deviation + 1e-9, "{found}, not {p}");
}

/// Oracle (d): whatever is taken back, the share α of the tokens is visible after every step.
#[test]
fn remdm_keeps_the_marginal() {
    let options = RemdmOptions { eta: 0.4 };
    for decoder in [DecoderConfig::Remdm(options), DecoderConfig::RemdmRescale(options)] {
        for (step, [visible, revoked]) in visible_and_revoked(decoder, 5).into_iter().enumerate() {
            let [alpha_t, alpha_s] = [step, step + 1].map(|step| step as f64 / 5.0);
            near(visible, alpha_s);
            // At most what is visible, and what may be masked in the end, can be taken back: η at most, or η of it.
            let most = alpha_t.min(1.0 - alpha_s);
            near(revoked, if decoder == DecoderConfig::Remdm(options) { most.min(0.4 * alpha_t) } else { 0.4 * most });
        }
    }
}

/// Of ten steps the first four lead to 0.8, the next to 0.9, and the last to 1; in between tokens are taken back.
#[test]
fn remdm_loops_between_its_times() {
    let decoder = DecoderConfig::RemdmLoop(RemdmOptions { eta: 0.05 });
    for (step, [visible, revoked]) in visible_and_revoked(decoder, 10).into_iter().enumerate() {
        near(visible, [0.2, 0.4, 0.6, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 1.0][step]);
        near(revoked, if (5..9).contains(&step) { 0.05 * 0.9 } else { 0.0 });
    }
}

/// Of what is visible before a step, softmax(−confidence) · σ_max of each is taken back.
#[test]
fn remdm_conf_takes_back_what_was_less_sure() {
    let sure = [0.9, 0.3];
    let (mut found, mut expected, mut variance) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    let mut engine = independent(&sure);
    for seed in 0..4000 {
        let config = SamplerConfig { gen_length: 2, steps: Some(6), seed, ..Default::default() };
        let config = SamplerConfig { decoder: DecoderConfig::RemdmConf, ..config };
        let trace = engine.generate(&request(&[], config)).unwrap().trace;
        for step in 1..6 {
            let before = trace.canvas_at(step - 1);
            let doubt = [0, 1].map(|i| if before[i] == crate::MASK { 0.0 } else { (-sure[i]).exp() });
            let sigma_max = (1.0 - (step + 1) as f64 / 6.0) / (step as f64 / 6.0);
            for i in (0..2).filter(|&i| doubt[i] > 0.0) {
                let p = sigma_max.min(1.0) * doubt[i] / (doubt[0] + doubt[1]);
                found[i] += f64::from(u8::from(trace.steps[step].revoked.contains(&i)));
                expected[i] += p;
                variance[i] += p * (1.0 - p);
            }
        }
        assert!(!trace.canvas_at(5).contains(&crate::MASK));
    }
    for i in 0..2 {
        assert!((found[i] - expected[i]).abs() < 5.0 * variance[i].sqrt(), "{found:?}, not {expected:?}");
    }
}

/// At most 0.7 of the masks, 5 at least and 20 at most.
#[test]
fn wino_drafts_widely() {
    let mut certain = Engine::new(TabularPredictor::new(1, 100, vec![1.0]).unwrap(), crate::SPECIAL);
    let counts: Vec<_> =
        steps(&mut certain, DecoderKind::Wino, |config| config.gen_length = 30).iter().map(Vec::len).collect();
    assert_eq!(counts, [20, 7, 3]);
    assert_eq!(first_step(&[0.5, 0.7, 0.6, 0.61], DecoderKind::Wino, |_| ()), [1, 3]);
    assert_eq!(first_step(&[0.5, 0.6, 0.4], DecoderKind::Wino, |_| ()), [1]);
}

/// Each of the first two is 0 with 0.7 and 0.65; both with 0.4 only, so that given the other it is so with 0.62 and 0.57.
/// One was committed with the other, so one of them may be taken back: the less probable.
#[test]
fn wino_takes_back_what_the_rest_does_not_bear_out() {
    let joint = (0..TOKENS.pow(4)).map(|index| {
        let [a, b, c, d] = [64, 16, 4, 1].map(|place| index / place % 4);
        let (p, follows) = match (a, b) {
            (0, 0) => (0.4, [0.9, 0.1, 0.0, 0.0]),
            (0, 1) => (0.3, [0.0, 1.0, 0.0, 0.0]),
            (1, 0) => (0.25, [0.0, 0.0, 1.0, 0.0]),
            (1, 1) => (0.05, [0.0, 0.0, 0.0, 1.0]),
            _ => (0.0, [0.0; 4]),
        };
        p * follows[c] * follows[d]
    });
    let mut engine = Engine::new(TabularPredictor::new(TOKENS, 4, joint.collect()).unwrap(), crate::SPECIAL);
    let mut run = |threshold_back| {
        let config = SamplerConfig { decoder: wino(0.6, threshold_back), gen_length: 4, ..Default::default() };
        let trace = engine.generate(&request(&[], config)).unwrap().trace;
        let step = |step: TraceStep| (step.commits.iter().map(|commit| commit.position).collect(), step.revoked);
        trace.steps.into_iter().map(step).collect::<Vec<(Vec<_>, Vec<_>)>>()
    };
    assert_eq!(run(0.9), [(vec![0, 1], vec![]), (vec![2, 3], vec![1]), (vec![1], vec![])]);
    assert_eq!(run(0.6), run(0.9));
    assert_eq!(run(0.55), [(vec![0, 1], vec![]), (vec![2, 3], vec![])]);
}

/// If nothing is revoked it is the threshold decoder; if nothing is confident enough, a step commits one token (oracle h).
#[test]
fn wino_at_its_limits_is_another_decoder() {
    for (seed, cache) in (0..20).zip(CacheKind::ALL.iter().copied().cycle()) {
        let mut engine = engine(LENGTH, seed);
        let base = SamplerConfig { decoder: threshold(0.6), seed, ..config(DecoderKind::Threshold, cache) };
        let bold = SamplerConfig { decoder: wino(0.6, 0.0), ..base.clone() };
        assert_eq!(generate(&mut engine, &bold), generate(&mut engine, &base));
        let narrow = SamplerConfig { decoder: wino(1.0, 0.9), ..config(DecoderKind::Wino, cache) };
        assert_eq!(generate(&mut engine, &narrow), generate(&mut engine, &config(DecoderKind::Schedule, cache)));
    }
}
