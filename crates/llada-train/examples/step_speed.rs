//! Times training steps as `benches/peers/pytorch_peer.py --train` does, and prints one JSON object.
//!
//! ```text
//! cargo run --release -p llada-train --example step_speed -- MODEL BATCH LENGTH bf16|f32 THREADS STEPS [RANK BASE]
//! ```
//!
//! With a rank, adapters of all linear layers of the blocks are trained over weights in the format BASE (bf16, int8, nf4,
//! nf4-double), and blocks are computed twice.
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error, fs, time::Instant};

use llada_core::rng::Noise;
use llada_model::{Device, LoraConfig, TrainableTransformer, set_threads};
use llada_train::{
    objective::{Objective, Rows},
    optimizer::{Optimizer, OptimizerConfig},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, batch, length, dtype, threads, steps, lora @ ..] = arguments.as_slice() else {
        return Err("hint: step_speed MODEL BATCH LENGTH bf16|f32 THREADS STEPS [RANK BASE]".into());
    };
    let (count, row_length, steps): (usize, usize, u32) = (batch.parse()?, length.parse()?, steps.parse()?);
    set_threads(threads.parse()?);
    let (folder, dtype) = (folder.as_ref(), dtype.parse()?);
    let mut model = match lora {
        [rank, base] => {
            let r: usize = rank.parse()?;
            let config = LoraConfig { r, lora_alpha: 2.0 * r as f64, ..LoraConfig::default() };
            TrainableTransformer::with_new_adapter(folder, &config, 0, base.parse()?, Device::Cpu, dtype)?
        }
        _ => TrainableTransformer::load(folder, Device::Cpu, dtype)?,
    };
    model.set_activation_checkpointing(!lora.is_empty());
    let mut optimizer = Optimizer::new(&model, OptimizerConfig::default())?;
    let (noise, mask_id) = (Noise::new(0), model.config().mask_token_id);
    let mut stream = noise.stream(0, 0, 0);
    let ids = (0..count * row_length).map(|_| stream.below(u64::from(mask_id)) as u32).collect();
    let rows = Rows { ids, row_length, answers: None };
    let (mut seconds, mut losses) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        let start = Instant::now();
        let batch = Objective::Diffusion.mask(&rows, mask_id, false, noise, step)?;
        losses.push(batch.loss(&model.accumulate(&batch.batch())?)?);
        let grad_norm = model.gradient().norm()?;
        optimizer.step(&mut model, u64::from(step) + 1, 1e-4, grad_norm)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    // The first step warms up.
    let mut timed = seconds.split_off(1);
    timed.sort_by(f64::total_cmp);
    let median = timed[timed.len() / 2];
    let status = fs::read_to_string("/proc/self/status")?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    println!(
        "{}",
        serde_json::json!({
            "batch": count, "length": row_length, "seconds": median,
            "tokens_per_s": (count * row_length) as f64 / median,
            "first_loss": losses.first(), "last_loss": losses.last(), "peak_rss_mb": peak.map(|kb| kb / 1024.0),
        })
    );
    Ok(())
}
