//! Estimates the likelihood of a text under a model whose probabilities are known, with an increasing number of samples.
//!
//! ```text
//! cargo run -p llada-core --example likelihood
//! ```
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::error::Error;

use llada_core::{
    likelihood::{BATCH_SIZE, MaskingPlan},
    predictor::{Hidden, MaskPredictor, Row},
    rng::Noise,
    sampling::log_softmax_at,
    tabular::TabularPredictor,
};

fn main() -> Result<(), Box<dyn Error>> {
    // Four bits, each of which repeats the one before it with probability 0.8.
    let mut joint = Vec::new();
    for bits in 0..16_u32 {
        let changes = (bits ^ bits >> 1) & 0b111;
        joint.push((0..3).map(|place| if changes >> place & 1 == 0 { 0.8 } else { 0.2 }).product());
    }
    let mut model = TabularPredictor::new(2, 4, joint)?;
    let text = [0, 0, 1, 1];
    println!("exact      {:.4} nats", model.probability(&text).ln());
    for mc_num in [16, 64, 256, 1024] {
        let plan = MaskingPlan::stratified(text.len(), mc_num, BATCH_SIZE, Noise::new(0), 0)?;
        let mut log_p_masked = Vec::with_capacity(mc_num);
        for perturbation in plan.perturbations() {
            log_p_masked.push(log_p(&mut model, &text, &perturbation.masked)?);
        }
        let estimate = plan.estimate(&log_p_masked)?;
        let error = estimate.standard_error.unwrap_or(f64::INFINITY);
        println!("{mc_num:4} masks {:.4} nats (standard error {error:.4})", estimate.log_likelihood);
    }
    Ok(())
}

/// Returns the sum of the log-probabilities of the tokens at `masked`, which are hidden from the model.
fn log_p<P: MaskPredictor>(model: &mut P, text: &[u32], masked: &[usize]) -> Result<f64, P::Error> {
    let mut ids = text.to_vec();
    for &position in masked {
        ids[position] = model.mask_id();
    }
    let mut logits = Vec::new();
    model.forward(&[Row::new(&ids, masked)])?.logits(0, 0..masked.len(), &mut logits)?;
    let rows = logits.chunks(model.padded_vocab_size()).zip(masked);
    Ok(rows.map(|(row, &position)| log_softmax_at(row, text[position])).sum())
}
