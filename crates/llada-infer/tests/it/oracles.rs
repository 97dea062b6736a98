//! Oracles (c) and (j) of masked diffusion: the right joint distribution at a token a step, and no guidance at scale 0.

use llada_core::tabular::TabularPredictor;
use llada_infer::{Engine, Estimator, SamplerConfig, ScoreConfig};

use crate::{MASK, SPECIAL, TOKENS, engine, request};
use std::ops::ControlFlow;

/// A token a step at temperature 1 samples the joint distribution itself, in every order that does not look at the pick.
/// (`low_confidence` does: it prefers positions where chance picked a probable token, and so sharpens the distribution.)
#[test]
fn a_token_a_step_samples_the_joint() {
    for remasking in ["random", "margin", "entropy"] {
        let mut engine = engine(3, 11);
        let config = SamplerConfig {
            gen_length: 3,
            temperature: 1.0,
            remasking: remasking.parse().unwrap(),
            ..Default::default()
        };
        let samples = 40_000;
        let mut counts = vec![0_u32; TOKENS.pow(3)];
        for seed in 0..samples {
            let answer = engine.generate(&request(&[], SamplerConfig { seed, ..config.clone() })).unwrap();
            counts[answer.output.iter().fold(0, |index, &id| index * TOKENS + id as usize)] += 1;
        }
        let mut chi_squared = 0.0;
        for (index, &count) in counts.iter().enumerate() {
            let ids = [index / 16, index / 4 % 4, index % 4].map(|id| id as u32);
            let expected = engine.predictor().probability(&ids) * samples as f64;
            chi_squared += (f64::from(count) - expected).powi(2) / expected.max(1e-9);
        }
        // 63 degrees of freedom: mean 63, standard deviation 11.2; this is five of them out.
        assert!(chi_squared < 120.0, "{remasking}: chi-squared {chi_squared}");
    }
}

/// All tokens in one step sample the product of the marginals instead: quality falls with the number of steps.
#[test]
fn one_step_samples_the_marginals() {
    let same = TabularPredictor::new(2, 2, vec![0.5, 0.0, 0.0, 0.5]).unwrap();
    let mut engine = Engine::new(same, SPECIAL);
    let mut disagreeing = |steps| {
        let config =
            |seed| SamplerConfig { gen_length: 2, steps: Some(steps), temperature: 1.0, seed, ..Default::default() };
        (0..4000)
            .filter(|&seed| {
                let output = engine.generate(&request(&[], config(seed))).unwrap().output;
                output[0] != output[1]
            })
            .count()
    };
    assert_eq!(disagreeing(2), 0);
    assert!((1800..2200).contains(&disagreeing(1)));
}

/// Guidance of scale 0 is none; a positive one moves away from what the prompt does not explain.
#[test]
fn guidance_of_scale_zero_is_none() {
    let prompt = [0, 1];
    let config = SamplerConfig { gen_length: 3, temperature: 0.7, ..Default::default() };
    let with = |cfg_scale, seed| {
        let config = SamplerConfig { cfg_scale, seed, ..config.clone() };
        engine(5, 5).generate(&request(&prompt, config)).unwrap()
    };
    assert!((0..50).all(|seed| with(0.0, seed) == with(-0.0, seed)));
    assert!((0..50).any(|seed| with(0.0, seed).output != with(2.0, seed).output));
    assert_eq!(with(2.0, 0).nfe, 3);
}

/// Form A and form B estimate the true log-likelihood of a model whose conditionals are those of one distribution.
#[test]
fn scores_are_the_log_likelihood() {
    let mut engine = engine(5, 3);
    let (prompt, answer) = ([0, 3], [1, 2, 1]);
    let predictor = engine.predictor();
    let truth = (predictor.probability(&[0, 3, 1, 2, 1]) / predictor.probability(&[0, 3, MASK, MASK, MASK])).ln();
    for estimator in [Estimator::FormA, Estimator::FormB] {
        let config = ScoreConfig { mc_num: 20_000, estimator, ..Default::default() };
        let score = engine.score(&prompt, &answer, &config, |_, _| ControlFlow::Continue(())).unwrap();
        let error = score.estimate.standard_error.unwrap();
        let off = (score.estimate.log_likelihood - truth).abs();
        assert!(off < 4.0 * error, "{estimator:?}: {off} off, standard error {error}");
        assert!(error < 0.2, "{estimator:?}: {error}");
        assert_eq!(score.nfe, 1250);
    }
}

#[test]
fn one_token_needs_one_sample() {
    let mut engine = engine(3, 8);
    let predictor = engine.predictor();
    let truth = (predictor.probability(&[1, 2, 0]) / predictor.probability(&[1, 2, MASK])).ln();
    let score = engine.score(&[1, 2], &[0], &ScoreConfig::default(), |_, _| ControlFlow::Continue(())).unwrap();
    assert!((score.estimate.log_likelihood - truth).abs() < 1e-6);
    assert_eq!((score.nfe, score.estimate.standard_error), (1, Some(0.0)));
}
