//! Oracles (c) and (j) of masked diffusion: the right joint distribution at a token a step, and no guidance at scale 0.

use llada_core::tabular::TabularPredictor;
use llada_infer::{Engine, Estimator, InferError, OptionDistribution, SamplerConfig, ScoreConfig, ScoreRequest};

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
    for estimator in [Estimator::IndependentMasks, Estimator::StratifiedCounts] {
        let config = ScoreConfig { mc_num: 20_000, estimator, ..Default::default() };
        let score = engine.score(&prompt, &answer, &config, |_, _| ControlFlow::Continue(())).unwrap();
        let error = score.estimate.standard_error.unwrap();
        let off = (score.estimate.log_likelihood - truth).abs();
        assert!(off < 4.0 * error, "{estimator:?}: {off} off, standard error {error}");
        assert!(error < 0.2, "{estimator:?}: {error}");
        assert_eq!(score.nfe, 1250);
    }
}

/// By the chain rule the log-likelihood is exact, and so is each of its terms.
#[test]
fn read_from_left_to_right_a_score_is_exact() {
    let mut engine = engine(5, 3);
    let answer = [1, 2, 1];
    let option = ScoreRequest::new([0, 3], answer).with_top_logprobs(2);
    for (batch_size, nfe) in [(1, 3), (2, 2), (16, 1)] {
        let config = ScoreConfig { estimator: Estimator::LeftToRight, batch_size, ..Default::default() };
        let [score] = engine
            .score_options(std::slice::from_ref(&option), &config, |_, _| ControlFlow::Continue(()))
            .unwrap()
            .try_into()
            .unwrap();
        let mut sequence = [0, 3, MASK, MASK, MASK];
        let before = engine.predictor().probability(&sequence);
        for (index, id) in answer.into_iter().enumerate() {
            let given = engine.predictor().probability(&sequence);
            let mut logprob = |id: u32| {
                sequence[2 + index] = id;
                (engine.predictor().probability(&sequence) / given).ln() as f32
            };
            let mut all = [0, 1, 2, 3].map(|id| (id, logprob(id)));
            all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            let told = &score.logprobs[index];
            assert!((told.logprob - logprob(id)).abs() < 1e-5);
            for ((id, logprob), (expected, exact)) in told.top.iter().zip(&all[..2]) {
                assert_eq!((id, (logprob - exact).abs() < 1e-5), (expected, true));
            }
            assert_eq!(told.top.len(), 2);
        }
        let truth = (engine.predictor().probability(&sequence) / before).ln();
        assert!((score.estimate.log_likelihood - truth).abs() < 1e-5);
        assert_eq!((score.nfe, score.estimate.standard_error), (nfe, Some(0.0)));
        assert_eq!(score.logprobs.len(), 3);
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

/// What the standard error promises, on a predictor whose conditionals agree in every order. Of 1000 seeds, 32 mini-batches
/// each, the truth lies within 2 standard errors (2.04 would be exact) in 950 on average, and five standard deviations of
/// that count are 34. Within 3 it lies in about 995, and in at least 95 of each hundred.
#[test]
fn standard_errors_cover_the_truth() {
    let mut engine = engine(5, 3);
    let (prompt, answer) = ([0, 3], [1, 2, 1]);
    let predictor = engine.predictor();
    let truth = (predictor.probability(&[0, 3, 1, 2, 1]) / predictor.probability(&[0, 3, MASK, MASK, MASK])).ln();
    let mut off = |seed| {
        let config = ScoreConfig { mc_num: 256, batch_size: 8, seed, ..Default::default() };
        let score = engine.score(&prompt, &answer, &config, |_, _| ControlFlow::Continue(())).unwrap();
        (score.estimate.log_likelihood - truth).abs() / score.estimate.standard_error.unwrap()
    };
    let off: Vec<f64> = (0..1000).map(&mut off).collect();
    let within = |off: &[f64], errors: f64| off.iter().filter(|&&off| off <= errors).count();
    let found = within(&off, 2.0);
    assert!((916..=984).contains(&found), "{found} of 1000 within 2 standard errors");
    for hundred in off.chunks(100) {
        assert!(within(hundred, 3.0) >= 95, "{hundred:?}");
    }
}

/// Of a model whose conditionals are those of one distribution the probabilities of options are known. The exact ones come
/// out exactly, and of 1000 seeds the truth lies within 2 standard errors (2.04 would be exact for the 32 mini-batches) in
/// 950 on average, and five standard deviations of that count are 34.
#[test]
fn probabilities_of_options_are_those_of_the_joint() {
    let mut engine = engine(5, 3);
    let go_on = |_, _| ControlFlow::Continue(());
    let one_token = [0, 1, 2].map(|answer| ScoreRequest::new([0, 3, 1, 2], [answer]));
    let truth = |engine: &Engine<TabularPredictor>, options: &[ScoreRequest]| -> Vec<f64> {
        let joint = |option: &ScoreRequest| {
            let padding = vec![MASK; 5 - option.prompt.len() - option.answer.len()];
            engine.predictor().probability(&[option.prompt.as_slice(), &option.answer, &padding].concat())
        };
        let all: f64 = options.iter().map(joint).sum();
        options.iter().map(|option| joint(option) / all).collect()
    };
    let scores = engine.score_options(&one_token, &ScoreConfig::default(), go_on).unwrap();
    let exact = OptionDistribution::from_scores(&scores).probabilities();
    for (found, expected) in exact.iter().zip(truth(&engine, &one_token)) {
        assert!((found.value - expected).abs() < 1e-6 && found.standard_error == Some(0.0), "{found:?}");
    }
    // Three tokens, two of them, and one that is exact.
    let options: [&[u32]; 4] = [&[1, 2, 1], &[2, 2, 1], &[1, 1], &[1]];
    let options = options.map(|answer| ScoreRequest::new([0, 3], answer));
    let truth = truth(&engine, &options);
    let mut within = [0; 4];
    for seed in 0..1000 {
        let config = ScoreConfig { mc_num: 256, batch_size: 8, seed, ..Default::default() };
        let scores = engine.score_options(&options, &config, go_on).unwrap();
        for (index, found) in OptionDistribution::from_scores(&scores).probabilities().iter().enumerate() {
            within[index] += i32::from((found.value - truth[index]).abs() <= 2.0 * found.standard_error.unwrap());
        }
    }
    assert!(within.iter().all(|count| (916..=984).contains(count)), "{within:?} of 1000 within 2 standard errors");
}

/// Questions of one seed are masked alike if they have one number, and by independent noise otherwise.
#[test]
fn questions_that_share_a_seed_are_told_apart_by_their_number() {
    for estimator in [Estimator::IndependentMasks, Estimator::StratifiedCounts] {
        let score = |seed, sample| {
            let config = ScoreConfig { mc_num: 16, seed, sample, estimator, ..Default::default() };
            let score = engine(5, 3).score(&[0, 3], &[1, 2, 1], &config, |_, _| ControlFlow::Continue(())).unwrap();
            score.estimate.log_likelihood
        };
        assert_eq!(score(6, 2), score(6, 2));
        assert_ne!(score(6, 2), score(6, 3));
        assert_ne!(score(6, 2), score(7, 2));
    }
}

/// Options of one question are scored as each would be alone, in the forwards that the longest needs.
#[test]
fn options_are_scored_as_alone() {
    let options: [(&[u32], &[u32]); 4] =
        [(&[0, 3], &[1, 2, 1]), (&[0, 3], &[2, 2, 1]), (&[0, 3], &[1]), (&[1], &[0, 0])];
    let options = options.map(|(prompt, answer)| ScoreRequest::new(prompt, answer));
    for cfg_scale in [0.0, 0.7] {
        let config = ScoreConfig { mc_num: 40, seed: 6, cfg_scale, ..Default::default() };
        let mut seen = Vec::new();
        let scores = engine(5, 3).score_options(&options, &config, |done, all| {
            seen.push((done, all));
            ControlFlow::Continue(())
        });
        let go_on = |_, _| ControlFlow::Continue(());
        let alone =
            options.clone().map(|option| engine(5, 3).score(&option.prompt, &option.answer, &config, go_on).unwrap());
        assert_eq!(scores.unwrap(), alone);
        assert_eq!(seen, [(49, 121), (97, 121), (121, 121)]);
    }
    let stopped = engine(5, 3).score_options(&options, &ScoreConfig::default(), |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(InferError::Interrupted)));
    let long = [options[0].clone(), ScoreRequest::new([0; 4], [1, 1])];
    let error =
        engine(5, 3).score_options(&long, &ScoreConfig::default(), |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("4 prompt tokens and 2 answer tokens exceed"), "{error}");
    // The same is known without a forward.
    let known = engine(5, 3).validate_options(&long, &ScoreConfig::default()).unwrap_err();
    assert_eq!(known.to_string(), error.to_string());
    let unknown = [ScoreRequest::new([0], [1, 9])];
    let error = engine(5, 3).validate_options(&unknown, &ScoreConfig::default()).unwrap_err();
    assert!(error.to_string().contains("id 9 at position 2"), "{error}");
    let none = [ScoreRequest::new([0], [])];
    assert!(engine(5, 3).validate_options(&none, &ScoreConfig::default()).is_err());
    assert!(engine(5, 3).validate_options(&options, &ScoreConfig::default()).is_ok());
}

/// Shared masks: the difference of two options of one length varies less than with masks of their own.
#[test]
fn shared_masks_lower_the_variance_of_differences() {
    const SEEDS: u64 = 1000;
    let mut engine = engine(5, 3);
    let options = [[1, 2, 1], [1, 2, 2]].map(|answer| (vec![0, 3], answer));
    let mut score = |option: usize, seed| {
        let (prompt, answer) = &options[option];
        let config = ScoreConfig { mc_num: 16, seed, ..Default::default() };
        engine.score(prompt, answer, &config, |_, _| ControlFlow::Continue(())).unwrap().estimate.log_likelihood
    };
    let mut variance = |other_seed: u64| {
        let differences: Vec<f64> = (0..SEEDS).map(|seed| score(0, seed) - score(1, seed + other_seed)).collect();
        let mean = differences.iter().sum::<f64>() / SEEDS as f64;
        differences.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>() / (SEEDS - 1) as f64
    };
    let (shared, own) = (variance(0), variance(SEEDS));
    // Either is known to 4.5 %.
    assert!(shared < 0.9 * own, "{shared} against {own}");
}
