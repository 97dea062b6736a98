//! A model of 90 thousand parameters learns one batch by heart: the loss under ever new masks keeps falling.
//!
//! ```text
//! cargo run -p llada-train --example overfit -- [STEPS]
//! ```
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error};

use llada_core::rng::Noise;
use llada_model::{Device, Dtype, ModelConfig, TrainableTransformer};
use llada_train::{
    objective::{Objective, Rows},
    optimizer::{Optimizer, OptimizerConfig},
};

/// Tokens are bytes of ASCII.
const TEXTS: [&str; 4] = ["masks fall, ", "words rise, ", "noise fades,", "text stands."];
const MASK: u32 = 126;

fn main() -> Result<(), Box<dyn Error>> {
    let steps: u32 = env::args().nth(1).map_or(Ok(200), |steps| steps.parse())?;
    let serde_json::Value::Object(keys) = serde_json::json!({
        "d_model": 64, "n_layers": 2, "n_heads": 2, "mlp_hidden_size": 128,
        "vocab_size": 128, "max_sequence_length": 16, "mask_token_id": MASK, "eos_token_id": 127,
    }) else {
        unreachable!("the macro was given an object")
    };
    let mut model = TrainableTransformer::new(ModelConfig::from_keys(keys)?, 0, Device::Cpu, Dtype::F32)?;
    let mut optimizer = Optimizer::new(&model, OptimizerConfig::default())?;
    // Each text four times: the noise levels of 16 rows make a steadier loss.
    let ids = TEXTS.repeat(4).concat().bytes().map(u32::from).collect();
    let rows = Rows { ids, row_length: TEXTS[0].len(), answers: None };
    println!("{} parameters, {} tokens", model.config().parameters(), TEXTS.concat().len());

    let (mut mean, every) = (0.0, (steps / 10).max(1));
    for step in 0..steps {
        let batch = Objective::Diffusion.mask(&rows, MASK, true, Noise::new(0), step)?;
        let cross_entropy = model.accumulate(&batch.batch())?;
        mean += batch.loss(&cross_entropy)? / f64::from(every);
        let grad_norm = model.gradient().norm()?;
        optimizer.step(&mut model, u64::from(step) + 1, 3e-3, grad_norm)?;
        if (step + 1) % every == 0 {
            println!("step {:4}  loss {mean:.4} nats a token", step + 1);
            mean = 0.0;
        }
    }
    Ok(())
}
