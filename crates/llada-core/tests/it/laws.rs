//! Laws that hold for every input.

use llada_core::block::{BlockPlan, num_transfer_tokens};
use llada_core::confidence::top_k;
use llada_core::likelihood::MaskingPlan;
use llada_core::masking::{
    Noisy, complement, forward_process, mask_uniforms, random_length, restore_prompts, restore_visible,
};
use llada_core::objective::{LossWeight, Normalisation, answer_weights, loss, pretraining_weights, sft_weights};
use llada_core::rng::Noise;
use llada_core::schedule::{EPS, NoiseSchedule, stratified_t};
use proptest::collection::vec;
use proptest::prelude::*;
use std::num::NonZeroUsize;

/// Confidences with many ties, and with everything that must not be chosen.
fn confidences() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![(-2..3_i8).prop_map(f32::from), Just(-0.0), Just(f32::NEG_INFINITY), Just(f32::NAN),];
    vec(value, 0..40)
}

/// The definition: again and again the largest of what is left, the first among equals.
fn naive_top_k(confidence: &[f32], k: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    for _ in 0..k {
        let mut best: Option<usize> = None;
        for i in 0..confidence.len() {
            let is_candidate = confidence[i] > f32::NEG_INFINITY && !chosen.contains(&i);
            if is_candidate && best.is_none_or(|best| confidence[i] > confidence[best]) {
                best = Some(i);
            }
        }
        chosen.extend(best);
    }
    chosen.sort();
    chosen
}

proptest! {
    #[test]
    fn transfer_sums_and_never_increases(masked in 0..2000_usize, steps in 1..300_usize) {
        let shares = num_transfer_tokens(masked, NonZeroUsize::new(steps).unwrap());
        prop_assert_eq!(shares.len(), steps);
        prop_assert_eq!(shares.iter().sum::<usize>(), masked);
        prop_assert!(shares.is_sorted_by(|a, b| a >= b));
        prop_assert!(shares[0] - shares[steps - 1] <= 1);
    }

    #[test]
    fn top_k_is_the_definition(confidence in confidences(), k in 0..45_usize) {
        let mut chosen = vec![99];
        top_k(&confidence, k, &mut chosen);
        prop_assert_eq!(chosen, naive_top_k(&confidence, k));
    }

    #[test]
    fn block_plans_are_accepted_or_hint(steps in 0..70_usize, gen_length in 0..70_usize, block_length in 0..80_usize) {
        for plan in [BlockPlan::new, BlockPlan::even] {
            match plan(steps, gen_length, block_length) {
                Ok(plan) => {
                    prop_assert_eq!(plan.gen_length(), gen_length);
                    let shares = (0..plan.blocks()).map(|block| plan.steps(block).get());
                    prop_assert_eq!(shares.sum::<usize>(), steps);
                }
                Err(error) => prop_assert!(error.hint().is_some()),
            }
        }
    }

    #[test]
    fn times_are_stratified(uniform in vec(0.0..1.0_f64, 1..50)) {
        let t = stratified_t(&uniform);
        for (b, t) in t.iter().enumerate() {
            prop_assert_eq!((t * uniform.len() as f64 + 1e-9).floor() as usize, b);
        }
    }

    #[test]
    fn schedules_are_probabilities(t in 0.0..=1.0_f64, later in 0.0..=1.0_f64) {
        for schedule in [NoiseSchedule::Linear, NoiseSchedule::Cosine, NoiseSchedule::LogLinear] {
            let (t, later) = (t.min(later), t.max(later));
            prop_assert!((0.0..=1.0).contains(&schedule.mask_probability(t)));
            prop_assert!(schedule.alpha(later) <= schedule.alpha(t));
            prop_assert!(t == 0.0 || schedule.weight(t) >= 0.0);
        }
    }

    #[test]
    fn weights_are_bounded(rows in vec((0..20_usize, 0.0..=1.0_f32), 1..6), seed: u64) {
        let (row_lengths, t): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let ids = vec![1; row_lengths.iter().sum()];
        let uniform = mask_uniforms(Noise::new(seed), 0, &row_lengths);
        let noisy = forward_process(&ids, &row_lengths, &t, &uniform, 2, EPS).unwrap();
        prop_assert!(noisy.p_mask.iter().all(|p| (EPS as f32..=1.0).contains(p)));

        let weights = pretraining_weights(&noisy, &row_lengths).unwrap();
        let highest = 1.001 / (EPS * ids.len() as f64);
        for ((&id, &masked), &weight) in noisy.noisy_batch.iter().zip(&noisy.masked_indices).zip(&weights) {
            prop_assert_eq!(id == 2, masked);
            prop_assert_eq!(weight > 0.0, masked);
            prop_assert!(f64::from(weight) <= highest);
        }
    }

    #[test]
    fn one_answer_to_the_end_is_a_prompt_and_the_rest(
        prompt_lengths in vec(0..8_usize, 1..5),
        seed: u64,
    ) {
        let row_lengths = vec![8; prompt_lengths.len()];
        let ids: Vec<u32> = (0..8 * prompt_lengths.len() as u32).collect();
        let maskable: Vec<bool> = prompt_lengths.iter().flat_map(|&prompt| (0..8).map(move |at| at >= prompt)).collect();
        let uniform = mask_uniforms(Noise::new(seed), 0, &row_lengths);
        let t = vec![0.5; prompt_lengths.len()];
        let whole = forward_process(&ids, &row_lengths, &t, &uniform, 99, EPS).unwrap();
        let (mut by_prompt, mut by_token) = (whole.clone(), whole);
        restore_prompts(&mut by_prompt, &ids, &row_lengths, &prompt_lengths).unwrap();
        restore_visible(&mut by_token, &ids, &maskable).unwrap();
        prop_assert_eq!(&by_prompt, &by_token);
        let weights = |normalisation, loss_weight| {
            answer_weights(&by_token, &row_lengths, &maskable, normalisation, loss_weight).unwrap()
        };
        let expected = sft_weights(&by_prompt, &row_lengths, &prompt_lengths).unwrap();
        prop_assert_eq!(weights(Normalisation::Sequence, LossWeight::Scheduler), expected);
        let tokens = maskable.iter().filter(|&&maskable| maskable).count();
        for weight in weights(Normalisation::Token, LossWeight::Uniform) {
            prop_assert!(weight == 0.0 || weight == (1.0 / tokens as f64) as f32);
        }

        let other = complement(&by_token, &ids, &maskable, 99).unwrap();
        for token in 0..ids.len() {
            prop_assert_eq!(by_token.masked_indices[token] ^ other.masked_indices[token], maskable[token]);
            prop_assert_eq!(other.noisy_batch[token], if other.masked_indices[token] { 99 } else { ids[token] });
        }
        prop_assert!((by_token.p_mask[0] + other.p_mask[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn random_lengths_are_in_range(coin in 0.0..0.02_f64, uniform in 0.0..=1.0_f64, max_length in 1..5000_usize) {
        prop_assert!((1..=max_length).contains(&random_length(coin, uniform, max_length)));
    }

    #[test]
    fn mini_batches_spread_over_the_mask_ratios(length in 1..60_usize, batch_size in 1..20_usize, seed: u64) {
        let plan = MaskingPlan::stratified(length, batch_size, batch_size, Noise::new(seed), 0).unwrap();
        let mut counts: Vec<_> = plan.perturbations().iter().map(|p| p.masked.len()).collect();
        counts.sort();
        prop_assert!(counts[0] >= 1 && counts[batch_size - 1] <= length);
        // Neighbours on the circle are length / batch_size apart, but for rounding.
        let first_again = counts[0] + length;
        for (a, b) in counts.iter().zip(counts[1..].iter().chain([&first_again])) {
            prop_assert!((b - a).abs_diff(length / batch_size) <= 2);
        }
    }
}

#[test]
fn thread_count_changes_nothing() {
    let row_lengths: Vec<_> = (0..200).map(|i| i * 7 % 64).collect();
    let uniforms = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| mask_uniforms(Noise::new(5), 3, &row_lengths))
    };
    let alone = uniforms(1);
    assert_eq!(alone.len(), row_lengths.iter().sum::<usize>());
    assert_eq!(alone, uniforms(2));
    assert_eq!(alone, uniforms(8));
}

#[test]
fn inputs_that_disagree_are_errors() {
    let forward = |ids: &[u32], lengths: &[usize], t: &[f32], uniform: &[f64], eps| {
        forward_process(ids, lengths, t, uniform, 9, eps).map_err(|error| error.to_string())
    };
    for (result, message) in [
        (forward(&[1], &[2], &[0.5], &[0.5], EPS), "input_ids has length 1, expected 2"),
        (forward(&[1], &[1], &[0.5], &[], EPS), "uniform has length 0, expected 1"),
        (forward(&[1], &[1], &[], &[0.5], EPS), "t has length 0, expected 1"),
        (forward(&[1], &[1], &[1.5], &[0.5], EPS), "t 1.5 is outside of [0, 1]"),
        (forward(&[1], &[1], &[f32::NAN], &[0.5], EPS), "t NaN is outside of [0, 1]"),
        (forward(&[1], &[1], &[0.5], &[0.5], 2.0), "eps 2 is outside of [0, 1]"),
    ] {
        assert_eq!(result, Err(message.to_owned()));
    }

    let mut noisy = Noisy { noisy_batch: vec![9], masked_indices: vec![true], p_mask: vec![0.5] };
    assert!(restore_prompts(&mut noisy, &[1], &[1], &[2]).is_err());
    assert!(restore_prompts(&mut noisy, &[1, 2], &[1], &[0]).is_err());
    assert!(pretraining_weights(&noisy, &[2]).is_err());
    assert!(sft_weights(&noisy, &[1], &[2]).is_err());
    assert!(restore_visible(&mut noisy, &[1], &[]).is_err());
    assert!(complement(&noisy, &[1], &[], 9).is_err());
    assert!(answer_weights(&noisy, &[1], &[], Normalisation::Token, LossWeight::Uniform).is_err());
    assert!(loss(&[1.0], &[]).is_err());
}
