//! Checks that need neither a reference nor a trained model: the truth is written down in a table.

use llada_core::guidance::guide;
use llada_core::likelihood::{Estimate, MaskingPlan};
use llada_core::predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row};
use llada_core::rng::Noise;
use llada_core::sampling::gumbel_max;
use llada_core::tabular::TabularPredictor;

const TOKENS: usize = 3;
const LENGTH: usize = 4;
const ANSWER: [u32; LENGTH] = [2, 0, 1, 1];

/// An arbitrary joint distribution in which the tokens do depend on each other.
fn predictor() -> TabularPredictor {
    let weights = Noise::new(11).stream(0, 0, 0);
    let joint = (0..TOKENS.pow(LENGTH as u32) as u32).map(|i| weights.at(i).powi(4)).collect();
    TabularPredictor::new(TOKENS, LENGTH, joint).unwrap()
}

/// The sum of log p over the masked positions of the answer.
fn log_p_masked(predictor: &mut TabularPredictor, masked: &[usize]) -> f64 {
    let mut ids = ANSWER;
    masked.iter().for_each(|&position| ids[position] = predictor.mask_id());
    let mut logits = Vec::new();
    predictor.forward(&[Row::new(&ids, masked)]).unwrap().logits(0, 0..masked.len(), &mut logits).unwrap();
    let rows = logits.chunks(predictor.padded_vocab_size()).zip(masked);
    rows.map(|(row, &position)| f64::from(row[ANSWER[position] as usize])).sum()
}

fn estimate(plan: &MaskingPlan) -> Estimate {
    let predictor = &mut predictor();
    let log_p: Vec<_> = plan.perturbations().iter().map(|p| log_p_masked(predictor, &p.masked)).collect();
    plan.estimate(&log_p).unwrap()
}

/// Whatever is done with a borrowed predictor is done with the predictor.
#[test]
fn a_borrowed_predictor_is_the_predictor() {
    fn check<P: MaskPredictor>(mut borrowed: P, own: &mut TabularPredictor) {
        assert_eq!(borrowed.padded_vocab_size(), own.padded_vocab_size());
        assert_eq!(borrowed.mask_id(), own.mask_id());
        assert_eq!(borrowed.banned(), own.banned());
        assert_eq!(borrowed.max_sequence_length(), own.max_sequence_length());
        assert_eq!(borrowed.kept_bytes(3, &Recompute::All), own.kept_bytes(3, &Recompute::All));
        let slot = CacheSlot(2);
        let ids = [1, own.mask_id()];
        let row = Row { cache: Some(slot), ..Row::new(&ids, &[1]) };
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        borrowed.forward(std::slice::from_ref(&row)).unwrap().logits(0, 0..1, &mut found).unwrap();
        own.forward(std::slice::from_ref(&row)).unwrap().logits(0, 0..1, &mut expected).unwrap();
        assert_eq!(found, expected);
        let reused = Row { recompute: Recompute::Span(1..2), ..row };
        assert!(borrowed.forward(std::slice::from_ref(&reused)).is_ok());
        borrowed.release(slot);
        assert!(borrowed.forward(&[reused]).is_err());
    }
    check(&mut predictor(), &mut predictor());
}

/// The expectations of both forms, summed over all masks, are the log-likelihood itself: the
/// conditionals of a joint distribution agree for every order, so the bound is tight.
#[test]
fn both_forms_expect_the_log_likelihood() {
    let predictor = &mut predictor();
    let (mut form_a, mut form_b) = (0.0, 0.0);
    for subset in 1..1_u32 << LENGTH {
        let masked: Vec<_> = (0..LENGTH).filter(|position| subset >> position & 1 == 1).collect();
        let log_p = log_p_masked(predictor, &masked);
        let (m, rest) = (masked.len() as i32, LENGTH as i32 - masked.len() as i32);

        // Form A: this mask has probability t^m (1 - t)^rest; the integral over t by the midpoint
        // rule.
        let points = 2000;
        let at = |i| (f64::from(i) + 0.5) / f64::from(points);
        let integral: f64 = (0..points).map(|i| at(i).powi(m - 1) * (1.0 - at(i)).powi(rest)).sum();
        form_a += integral / f64::from(points) * log_p;

        // Form B: this mask is one of (L choose m), m one of 1..=L.
        let choose: f64 = (1..=m).map(|i| f64::from(rest + i) / f64::from(i)).product();
        form_b += log_p / (f64::from(m) * choose);
    }
    let truth = predictor.probability(&ANSWER).ln();
    assert!((form_a - truth).abs() < 1e-5, "{form_a} {truth}");
    assert!((form_b - truth).abs() < 1e-6, "{form_b} {truth}");
}

#[test]
fn estimates_converge_to_the_log_likelihood() {
    let truth = predictor().probability(&ANSWER).ln();
    let noise = Noise::new(1234);
    let form_a = estimate(&MaskingPlan::independent(LENGTH, 20_000, noise, 0).unwrap());
    let form_b = estimate(&MaskingPlan::stratified(LENGTH, 20_000, 16, noise, 0).unwrap());
    for Estimate { log_likelihood, standard_error, .. } in [form_a, form_b] {
        let error = standard_error.unwrap();
        assert!((log_likelihood - truth).abs() < 4.0 * error, "{log_likelihood} {truth} {error}");
        assert!(error < 0.05, "{error}");
    }
    assert!(form_b.standard_error < form_a.standard_error);
}

#[test]
fn one_sample_is_exact_for_one_token() {
    let mut predictor = TabularPredictor::new(2, 1, vec![1.0, 3.0]).unwrap();
    let plan = MaskingPlan::stratified(1, 1, 16, Noise::new(0), 0).unwrap();
    let mask = predictor.mask_id();
    let mut logits = Vec::new();
    let ids = [mask];
    let row = Row::new(&ids, &plan.perturbations()[0].masked);
    predictor.forward(&[row]).unwrap().logits(0, 0..1, &mut logits).unwrap();
    let estimate = plan.estimate(&[logits[1].into()]).unwrap();
    assert!((estimate.log_likelihood - 0.75_f64.ln()).abs() < 1e-6);
}

/// Unmasking one token after the other, in an arbitrary order, draws from the joint distribution.
#[test]
fn sequential_sampling_draws_from_the_joint() {
    let predictor = &mut predictor();
    let samples = 30_000;
    let mut counts = vec![0_u32; TOKENS.pow(LENGTH as u32)];
    let mut logits = Vec::new();
    for sample in 0..samples {
        let mut ids = [predictor.mask_id(); LENGTH];
        for position in [2, 0, 3, 1] {
            predictor.forward(&[Row::new(&ids, &[position])]).unwrap().logits(0, 0..1, &mut logits).unwrap();
            let noise = Noise::new(8).stream(sample, 0, position as u32);
            ids[position] = gumbel_max(&logits, 1.0, &noise);
        }
        counts[ids.iter().fold(0, |index, &id| index * TOKENS + id as usize)] += 1;
    }
    // Pearson's statistic: its mean is the number of degrees of freedom, 80, its variance twice
    // that.
    let statistic: f64 = (0..counts.len())
        .map(|index| {
            let digit = |place| (index / TOKENS.pow(place) % TOKENS) as u32;
            let p = predictor.probability(&[digit(3), digit(2), digit(1), digit(0)]);
            let expected = p * samples as f64;
            (f64::from(counts[index]) - expected).powi(2) / expected
        })
        .sum();
    assert!(statistic < 80.0 + 4.0 * 160.0_f64.sqrt(), "{statistic}");
}

#[test]
fn contradictions_and_misuse_are_no_panics() {
    let mut predictor = TabularPredictor::new(2, 2, vec![0.5, 0.0, 0.0, 0.5]).unwrap();
    let mask = predictor.mask_id();
    let mut hidden = predictor.forward(&[Row::new(&[0, 1], &[1])]).unwrap();
    let mut logits = Vec::new();
    hidden.logits(0, 0..1, &mut logits).unwrap();
    assert_eq!(logits, [0.5_f32.ln(), 0.5_f32.ln(), f32::NEG_INFINITY]);
    assert_eq!(predictor.probability(&[0, 1]), 0.0);
    assert_eq!(predictor.probability(&[0, mask]), 0.5);
    assert_eq!(predictor.probability(&[0]), 0.5);

    for (ids, wanted, message) in [
        (&[0, 0, 0][..], &[][..], "row length 3 exceeds 2"),
        (&[3], &[], "token id 3 is out of range, there are 3"),
        (&[0], &[1], "wanted position 1 is out of range, there are 1"),
    ] {
        assert_eq!(predictor.forward(&[Row::new(ids, wanted)]).unwrap_err().to_string(), message);
    }
    assert!(hidden.logits(1, 0..1, &mut logits).is_err());
    assert!(hidden.logits(0, 0..2, &mut logits).is_err());
    for joint in [vec![1.0], vec![0.0; 4], vec![-1.0, 1.0, 1.0, 1.0], vec![f64::NAN; 4]] {
        assert!(TabularPredictor::new(2, 2, joint).is_err());
    }
}

#[test]
fn no_guidance_is_no_change() {
    let conditional: Vec<f32> = (0..100).map(|i| (i as f32).sin() * 10.0).collect();
    let unconditional: Vec<f32> = (0..100).map(|i| (i as f32).cos() * 1e6).collect();
    let mut guided = conditional.clone();
    guide(&mut guided, &unconditional, 0.0);
    assert_eq!(guided, conditional);

    let mut banned = [f32::NEG_INFINITY];
    guide(&mut banned, &[f32::NEG_INFINITY], 2.0);
    assert_eq!(banned, [f32::NEG_INFINITY]);
}
