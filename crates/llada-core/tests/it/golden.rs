//! Tables computed by the official LLaDA code (`crates/llada-model/tests/fixtures`).

use llada_core::block::num_transfer_tokens;
use llada_core::masking::{forward_process, restore_prompts};
use llada_core::objective::{pretraining_weights, sft_weights};
use llada_core::sampling::add_gumbel_noise;
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::path::Path;

#[derive(Deserialize)]
struct Golden {
    special_tokens: SpecialTokens,
    num_transfer_tokens: Vec<Transfer>,
    gumbel: Vec<Gumbel>,
    loss: Vec<Loss>,
}

#[derive(Deserialize)]
struct SpecialTokens {
    mask: u32,
}

#[derive(Deserialize)]
struct Transfer {
    mask: Vec<Vec<u8>>,
    steps: NonZeroUsize,
    num_transfer_tokens: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Gumbel {
    logits: Vec<Vec<f32>>,
    uniform: Vec<Vec<f64>>,
    temperature: f64,
    perturbed: Vec<Vec<f64>>,
    argmax: Vec<usize>,
}

#[derive(Deserialize)]
struct Loss {
    eps: f64,
    input_ids: Vec<Vec<u32>>,
    t: Vec<f32>,
    u: Vec<Vec<f64>>,
    prompt_lengths: Option<Vec<usize>>,
    noisy: Vec<Vec<u32>>,
    p_mask: Vec<f32>,
}

fn golden() -> Vec<Golden> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../llada-model/tests/fixtures");
    ["tiny-llada", "tiny-llada-gqa-bf16"]
        .map(|name| std::fs::read_to_string(fixtures.join(name).join("golden.json")).unwrap())
        .map(|json| serde_json::from_str(&json).unwrap())
        .into()
}

#[test]
fn num_transfer_tokens_match() {
    for case in golden().iter().flat_map(|golden| &golden.num_transfer_tokens) {
        for (mask, expected) in case.mask.iter().zip(&case.num_transfer_tokens) {
            let masked = mask.iter().filter(|&&m| m == 1).count();
            assert_eq!(&num_transfer_tokens(masked, case.steps), expected);
        }
    }
}

#[test]
fn gumbel_noise_matches() {
    let mut table = Vec::new();
    for case in golden().iter().flat_map(|golden| &golden.gumbel) {
        for (row, logits) in case.logits.iter().enumerate() {
            add_gumbel_noise(logits, &case.uniform[row], case.temperature, &mut table);
            assert_eq!(table.len(), case.perturbed[row].len());
            for (&ours, &reference) in table.iter().zip(&case.perturbed[row]) {
                assert!((ours - reference).abs() <= 1e-12 * reference.abs(), "{ours} {reference}");
            }
            let pick = (0..table.len()).max_by(|&a, &b| table[a].total_cmp(&table[b]));
            assert_eq!(pick, Some(case.argmax[row]));
        }
    }
}

#[test]
fn forward_process_and_weights_match() {
    for golden in golden() {
        for case in golden.loss {
            let row_lengths: Vec<_> = case.input_ids.iter().map(Vec::len).collect();
            let (input_ids, u) = (case.input_ids.concat(), case.u.concat());
            let mask_id = golden.special_tokens.mask;
            let mut noisy = forward_process(&input_ids, &row_lengths, &case.t, &u, mask_id, case.eps).unwrap();
            if let Some(prompt_lengths) = &case.prompt_lengths {
                restore_prompts(&mut noisy, &input_ids, &row_lengths, prompt_lengths).unwrap();
            }
            assert_eq!(noisy.noisy_batch, case.noisy.concat());
            assert_eq!(noisy.p_mask, case.p_mask);
            let masked = case.noisy.concat().into_iter().map(|id| id == mask_id);
            assert_eq!(noisy.masked_indices, masked.collect::<Vec<_>>());

            let weights = match &case.prompt_lengths {
                None => pretraining_weights(&noisy, &row_lengths),
                Some(prompt_lengths) => sft_weights(&noisy, &row_lengths, prompt_lengths),
            };
            let expected = case.noisy.iter().enumerate().flat_map(|(b, row)| {
                let per_row = match &case.prompt_lengths {
                    None => input_ids.len(),
                    Some(prompt_lengths) => (row.len() - prompt_lengths[b]) * case.noisy.len(),
                };
                let weight = 1.0 / (f64::from(case.p_mask[b]) * per_row as f64);
                row.iter().map(move |&id| if id == mask_id { weight as f32 } else { 0.0 })
            });
            assert_eq!(weights.unwrap(), expected.collect::<Vec<_>>());
        }
    }
}
