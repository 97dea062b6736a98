//! Same inputs, same seed, same tokens: alone or in a ragged batch, on any number of threads; and what a step may touch.

use std::ops::ControlFlow;

use llada_core::confidence::Remasking;
use llada_infer::{CacheKind, Request, SamplerConfig};
use proptest::prelude::*;

use crate::{MASK, TOKENS, engine, refreshed, request};

const LENGTH: usize = 6;

/// A request that fits the table: a prompt, holes in it or not, and options that divide.
fn any_request() -> impl Strategy<Value = Request> {
    let prompt = prop::collection::vec(0..=MASK, 0..=2);
    let lengths = prop::sample::select(vec![(4, 4, 4), (4, 2, 4), (4, 2, 2), (4, 1, 8), (2, 2, 1), (3, 1, 3)]);
    let remasking =
        prop::sample::select(vec![Remasking::LowConfidence, Remasking::Random, Remasking::Margin, Remasking::Entropy]);
    let numbers = (prop::sample::select(vec![0.0, 0.8]), prop::sample::select(vec![0.0_f32, 1.5]), 0..5_u64);
    let suffix = prop::sample::select(vec![(None, 1, 0.0), (Some(0), 1, 0.0), (Some(1), 0, 0.0), (Some(3), 0, 2.0)]);
    (prompt, lengths, remasking, numbers, suffix, any::<[bool; 4]>()).prop_map(
        |(prompt, lengths, remasking, numbers, suffix, flags)| {
            let (gen_length, block_length, steps) = lengths;
            let (temperature, cfg_scale, seed) = numbers;
            let (suffix_window, suffix_trailing, suffix_dropout) = suffix;
            let [logits_eos_inf, confidence_eos_eot_inf, reference_compat, stop_at_eos] = flags;
            let config = SamplerConfig {
                steps: Some(steps),
                gen_length,
                block_length: Some(block_length),
                temperature,
                cfg_scale,
                suffix_window,
                suffix_trailing,
                suffix_dropout,
                remasking,
                logits_eos_inf,
                confidence_eos_eot_inf,
                reference_compat,
                stop_at_eos,
                seed,
                ..Default::default()
            };
            Request::new(prompt, config)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_row_in_a_batch_is_the_row_alone(requests in prop::collection::vec(any_request(), 1..8), seed in 0..9_u64) {
        let mut engine = engine(LENGTH, seed);
        let together = engine.generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
        for (request, together) in requests.iter().zip(together) {
            prop_assert_eq!(engine.generate(request).unwrap(), together);
        }
    }

    /// What is given is never changed, what is committed never masked again, and the trace tells all of it.
    #[test]
    fn steps_only_fill_masks(request in any_request(), seed in 0..9_u64) {
        let mut engine = engine(LENGTH, seed);
        let mut before = request.prompt.clone();
        before.resize(request.prompt.len() + request.config.gen_length, MASK);
        let mut steps = Vec::new();
        let answers = engine.generate_batch(std::slice::from_ref(&request), |progress| {
            for (position, (&old, &new)) in before.iter().zip(progress.canvas).enumerate() {
                let committed = progress.step.commits.iter().any(|commit| commit.position == position);
                assert_eq!(committed, old != new);
                assert!(!committed || (old == MASK && new < TOKENS as u32));
            }
            before = progress.canvas.to_vec();
            steps.push(progress.step.clone());
            ControlFlow::Continue(())
        }).unwrap();
        let answer = &answers[0];
        prop_assert_eq!(&answer.trace.steps, &steps);
        prop_assert_eq!(answer.nfe, steps.len());
        let canvas = answer.trace.canvas_at(usize::MAX);
        prop_assert!(canvas.starts_with(&answer.prompt) && canvas[answer.prompt.len()..].starts_with(&answer.output));
        if !request.config.stop_at_eos {
            prop_assert_eq!(answer.nfe, request.config.steps.unwrap());
            prop_assert!(request.config.reference_compat || !canvas.contains(&MASK));
        }
    }
}

#[test]
fn threads_change_nothing() {
    let config = SamplerConfig { gen_length: 4, temperature: 1.0, ..Default::default() };
    let sample = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| engine(LENGTH, 4).generate(&request(&[1], config.clone())).unwrap())
    };
    assert_eq!(sample(1), sample(2));
    assert_eq!(sample(1), sample(8));
}

#[test]
fn a_callback_can_stop() {
    let config = SamplerConfig { gen_length: 4, ..Default::default() };
    let mut calls = 0;
    let stopped = engine(LENGTH, 0).generate_batch(&[request(&[], config)], |_| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap_err().to_string(), "interrupted");
    assert_eq!(calls, 2);
}

#[test]
fn without_a_cache_nothing_diverges() {
    for cache in [CacheKind::None.into(), refreshed(CacheKind::Dual, 1), CacheKind::Dual.into()] {
        let config = SamplerConfig { gen_length: 6, block_length: Some(3), cache, ..Default::default() };
        let request = request(&[], config);
        let (answer, divergence) = engine(6, 3).divergence(&request, |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(answer, engine(6, 3).generate(&request).unwrap());
        // Whatever is reused, a table's conditionals depend on the tokens alone.
        assert!(divergence < 1e-12, "{cache:?}: {divergence}");
    }
}
