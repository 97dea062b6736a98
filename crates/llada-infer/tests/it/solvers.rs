//! The solvers of the reverse process converge to the joint distribution, each with its order.

use std::num::NonZeroUsize;

use llada_core::schedule::NoiseSchedule;
use llada_infer::{
    DecoderConfig, DecoderKind, Engine, SamplerConfig,
    decoder::{LeapOptions, ThetaTrapezoidal},
};

use crate::{
    SPECIAL,
    law::{LENGTH, TOKENS, Table, order, random},
    request,
};

const FORWARDS: [usize; 5] = [8, 16, 32, 64, 128];

fn table(seed: u64, spread: f64) -> Table {
    Table::new(&mut random(seed, spread).unwrap()).unwrap()
}

fn law(table: &Table, decoder: impl Into<DecoderConfig>, forwards: usize) -> Vec<f64> {
    table.law(decoder.into(), NonZeroUsize::new(forwards).unwrap()).unwrap()
}

/// The total variation distances and the divergences after 8 to 128 forwards.
fn errors(table: &Table, decoder: DecoderConfig) -> [Vec<f64>; 2] {
    let laws: Vec<Vec<f64>> = FORWARDS.iter().map(|&forwards| law(table, decoder, forwards)).collect();
    [
        laws.iter().map(|law| table.total_variation(law)).collect(),
        laws.iter().map(|law| table.divergence(law)).collect(),
    ]
}

#[test]
fn solvers_have_their_orders() {
    let cosine = LeapOptions { noise_schedule: NoiseSchedule::Cosine, ..Default::default() };
    for seed in 0..3 {
        let table = table(seed, 0.4);
        assert!(table.least_ratio() > 0.5, "{}", table.least_ratio());
        for (decoder, expected) in [
            (DecoderKind::Euler.into(), 1.0),
            (DecoderKind::TauLeaping.into(), 1.0),
            (DecoderConfig::Euler(cosine), 1.0),
            (DecoderConfig::TauLeaping(cosine), 1.0),
            (DecoderKind::ThetaTrapezoidal.into(), 2.0),
        ] {
            let [distances, divergences] = errors(&table, decoder);
            let found = order(&FORWARDS, &distances);
            assert!((found - expected).abs() < 0.15, "{decoder}: order {found}, {distances:?}");
            // The divergence is quadratic in small distances.
            let found = order(&FORWARDS, &divergences);
            assert!((found - 2.0 * expected).abs() < 0.3, "{decoder}: order {found}, {divergences:?}");
        }
    }
}

/// The cosine schedule makes steps of very unlike length, so the order shows later.
#[test]
fn the_second_order_shows_under_the_cosine_schedule_from_32_forwards_on() {
    let solver = ThetaTrapezoidal { noise_schedule: NoiseSchedule::Cosine, rho: 1.0, ..Default::default() };
    for seed in 0..3 {
        let [distances, _] = errors(&table(seed, 0.4), DecoderConfig::ThetaTrapezoidal(solver));
        let found = order(&FORWARDS[2..], &distances[2..]);
        assert!((found - 2.0).abs() < 0.15, "order {found}, {distances:?}");
    }
}

/// Where a token makes another one less than half as probable, rates are cut off and the order falls to one.
#[test]
fn strong_dependence_costs_the_second_order() {
    let table = table(0, 2.0);
    assert!(table.least_ratio() < 0.2, "{}", table.least_ratio());
    let solver = ThetaTrapezoidal { theta: 0.3, ..Default::default() };
    for decoder in [DecoderKind::ThetaTrapezoidal.into(), DecoderConfig::ThetaTrapezoidal(solver)] {
        let [distances, _] = errors(&table, decoder);
        let found = order(&FORWARDS[3..], &distances[3..]);
        assert!((found - 1.0).abs() < 0.15, "order {found}, {distances:?}");
        // It is better than Euler's method all the same.
        let [of_euler, _] = errors(&table, DecoderKind::Euler.into());
        assert!(
            distances.iter().zip(&of_euler).all(|(error, of_euler)| error < of_euler),
            "{distances:?} {of_euler:?}"
        );
    }
}

#[test]
fn first_hitting_is_exact_at_a_token_a_step() {
    let table = table(7, 2.0);
    let error = |forwards| table.total_variation(&law(&table, DecoderKind::FirstHitting, forwards));
    assert!(error(LENGTH) < 1e-6 && error(9) < 1e-6);
    // Two tokens at once are independent.
    assert!(error(2) > 0.02, "{}", error(2));
}

/// What the engine samples has the law that the orders are those of.
#[test]
fn the_engine_samples_the_law() {
    let mut predictor = random(3, 1.5).unwrap();
    let table = Table::new(&mut predictor).unwrap();
    let mut engine = Engine::new(predictor, SPECIAL);
    let leap = LeapOptions { noise_schedule: NoiseSchedule::Cosine, rho: 1.5 };
    let trapezoidal = |theta| DecoderConfig::ThetaTrapezoidal(ThetaTrapezoidal { theta, ..Default::default() });
    for (decoder, forwards) in [
        (DecoderConfig::Euler(leap), 3),
        (DecoderConfig::TauLeaping(leap), 3),
        (trapezoidal(0.5), 4),
        (trapezoidal(0.3), 5),
        (DecoderConfig::FirstHitting, 2),
    ] {
        let law = law(&table, decoder, forwards);
        assert!((law.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        let samples = 20_000;
        let mut counts = vec![0_u32; law.len()];
        for seed in 0..samples {
            let config = SamplerConfig { gen_length: LENGTH, steps: Some(forwards), seed, ..Default::default() };
            let config = SamplerConfig { decoder, temperature: 1.0, ..config };
            let answer = engine.generate(&request(&[], config)).unwrap();
            assert_eq!(answer.nfe, forwards);
            counts[answer.output.iter().fold(0, |index, &id| index * TOKENS + id as usize)] += 1;
        }
        let statistic = |law: &[f64]| {
            let expected = law.iter().map(|p| p * samples as f64);
            expected
                .zip(&counts)
                .map(|(expected, &count)| (f64::from(count) - expected).powi(2) / expected)
                .sum::<f64>()
        };
        // 80 degrees of freedom: mean 80, standard deviation 12.6; this is five of them out.
        assert!(statistic(&law) < 144.0, "{decoder}: chi-squared {}", statistic(&law));
        // And it can tell: the truth itself is another law.
        assert!(statistic(&table.joint) > 144.0, "{decoder}: chi-squared {}", statistic(&table.joint));
    }
}

/// Rates of the second stage are of tokens that are possible.
#[test]
fn what_is_never_emitted_has_no_rate() {
    let mut engine = crate::engine(6, 2);
    let mut generate = |logits_eos_inf, seed| {
        let decoder = DecoderKind::ThetaTrapezoidal.into();
        let config = SamplerConfig { gen_length: 6, steps: Some(6), temperature: 1.0, seed, ..Default::default() };
        engine.generate(&request(&[], SamplerConfig { decoder, logits_eos_inf, ..config })).unwrap().output
    };
    assert!((0..100).any(|seed| generate(false, seed).contains(&SPECIAL.eos)));
    assert!((0..100).all(|seed| !generate(true, seed).contains(&SPECIAL.eos)));
}
