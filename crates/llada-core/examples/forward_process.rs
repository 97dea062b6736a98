//! Masks a sentence at three noise levels and shows the weights of the loss.
//!
//! ```text
//! cargo run -p llada-core --example forward_process -- [SEED]
//! ```
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error};

use llada_core::{
    masking::{forward_process, mask_uniforms},
    objective::{loss, pretraining_weights},
    rng::Noise,
    schedule::EPS,
};

fn main() -> Result<(), Box<dyn Error>> {
    let seed = env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?;
    // Every word is a token whose id is its position; the mask is the id after the last.
    let words: Vec<&str> = "the quick brown fox jumps over the lazy dog".split(' ').collect();
    let ids: Vec<u32> = (0..words.len() as u32).collect();
    let mask_id = words.len() as u32;
    for t in [0.2, 0.5, 0.8] {
        // With the same uniform numbers at every level, a word that is masked at one level is masked at all higher ones.
        let uniform = mask_uniforms(Noise::new(seed), 0, &[ids.len()]);
        let noisy = forward_process(&ids, &[ids.len()], &[t], &uniform, mask_id, EPS)?;
        let shown = noisy.noisy_batch.iter().map(|&id| words.get(id as usize).copied().unwrap_or("_"));
        let weights = pretraining_weights(&noisy, &[ids.len()])?;
        let weight = weights.iter().copied().fold(0.0, f32::max);
        // A model that knows nothing gives each of the words the same probability.
        let ignorance = vec![(words.len() as f32).ln(); words.len()];
        println!("t {t}  {}", shown.collect::<Vec<_>>().join(" "));
        println!("       masked with probability {:.4}; each mask weighs {weight:.4}", noisy.p_mask[0]);
        println!("       loss of a uniform guess: {:.4} nats a token", loss(&ignorance, &weights)?);
    }
    println!("At every level the mean over all masks is ln {} = {:.4}.", words.len(), (words.len() as f64).ln());
    Ok(())
}
