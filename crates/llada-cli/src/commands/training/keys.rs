//! The keys of a run file that every kind of training has, as flags.

use std::path::PathBuf;

use serde::Serialize;

use super::adapter_keys::AdapterKeys;

/// The keys of a run file, as flags.
#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of the run file")]
pub(super) struct RunKeys {
    /// Folder of the run: checkpoints, metrics, and at the end the model
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Checkpoint to start from
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// Adapter to go on with, in peft's format, with the settings in its folder; no key of [adapter] but lora_dropout
    /// may be another [default: none]
    #[arg(long, value_name = "DIR")]
    init_adapter: Option<PathBuf>,
    /// f32, bf16, int8, nf4, or nf4-double: what frozen weights are kept in while an adapter is trained [default:
    /// dtype]
    #[arg(long, value_name = "NAME")]
    base_dtype: Option<String>,
    /// Dataset to validate on, as `llada data prepare` writes it; for answers also conversations, in a file or a folder
    #[arg(long, value_name = "PATH")]
    validation: Option<PathBuf>,
    /// Steps of the optimizer
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Rows of a step [default: 32]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Rows computed together; a step adds up the gradients [default: batch_size]
    #[arg(long, value_name = "N")]
    micro_batch_size: Option<usize>,
    /// Seed of all randomness [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// bf16 or f32: what is computed in; weights are f32 either way [default: bf16]
    #[arg(long, value_name = "NAME")]
    dtype: Option<String>,
    /// cpu, cuda, cuda:1 [default: cpu]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// none, optimizer, gradient or weights: what the processes of a run divide among them to save memory, each with
    /// those before it [default: none]
    #[arg(long, value_name = "NAME")]
    shard: Option<String>,
    /// Blocks computed twice to save memory [default: false]
    #[arg(long, value_name = "BOOL")]
    activation_checkpointing: Option<bool>,
    /// Decay of a moving average of the weights, which the model at the end then has [default: none]
    #[arg(long, value_name = "F")]
    ema_decay: Option<f64>,
    /// Steps between checkpoints [default: 500]
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Checkpoints that are kept [default: 2]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Steps between validations [default: 500]
    #[arg(long, value_name = "N")]
    validate_every: Option<u64>,
    /// Rows that are validated on [default: 16]
    #[arg(long, value_name = "N")]
    validation_rows: Option<usize>,
    /// Maskings of each of them [default: 16]
    #[arg(long, value_name = "N")]
    mc_num: Option<usize>,
    /// bf16 or f32: what the model at the end is stored in [default: bf16, of an adapter f32]
    #[arg(long, value_name = "NAME")]
    export_dtype: Option<String>,
    #[command(flatten)]
    adapter: AdapterKeys,
    #[command(flatten)]
    schedule: ScheduleKeys,
    #[command(flatten)]
    optimizer: OptimizerKeys,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [schedule], the learning rate")]
struct ScheduleKeys {
    /// wsd, warm-up-stable-decay, or cosine [default: wsd]
    #[arg(long, value_name = "NAME")]
    decay: Option<String>,
    /// Highest learning rate [default: pretrain 4e-4, sft 2.5e-5, prefer 5e-7, rl 3e-6, distill 2e-5]
    #[arg(long, value_name = "F")]
    lr: Option<f64>,
    /// Learning rate of the last step [default: pretrain 1e-5, sft 2.5e-6, else lr]
    #[arg(long, value_name = "F")]
    min_lr: Option<f64>,
    /// Steps of the linear rise [default: pretrain 2000, sft 50, prefer 10, rl 1, distill 0]
    #[arg(long, value_name = "N")]
    warmup_steps: Option<u64>,
    /// With wsd, the part of all steps in which it falls [default: 0.1]
    #[arg(long, value_name = "F")]
    decay_ratio: Option<f64>,
}

#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Keys of [optimizer], AdamW")]
struct OptimizerKeys {
    /// Decay of the moving averages of the gradient and of its square [default: 0.9,0.95]
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    betas: Option<Vec<f64>>,
    /// Added to the root of the second [default: 1e-8]
    #[arg(long, value_name = "F")]
    eps: Option<f64>,
    /// Decoupled weight decay of matrices [default: 0.1]
    #[arg(long, value_name = "F")]
    weight_decay: Option<f64>,
    /// Longer gradients are scaled to this norm [default: 1]
    #[arg(long, value_name = "F")]
    clip: Option<f64>,
}
