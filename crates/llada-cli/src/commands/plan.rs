//! `llada plan`: the memory, the traffic and the time of a training run by many processes, computed and not measured.

use std::{num::NonZero, path::PathBuf};

use llada_core::plan::{Machine, Plan, Run, Sharding};
use llada_model::{Dtype, LoraConfig, ModelConfig, Precision};
use serde_json::json;

use crate::exit::usage;

/// The name of LLaDA-8B's shape, which needs no checkpoint.
const LLADA_8B: &str = "8b";

/// The heading of what runs are computed on.
const GPU: &str = "GPU and network";

const GB: f64 = 1e9;
const TERA: f64 = 1e12;

/// Compute what a training run takes on a cluster: memory, traffic and time
///
/// Nothing is measured, and no weights are read. There are two lines for each way to divide a run's state among its processes:
/// with blocks that are computed once, and twice to save memory (activation checkpointing). Where weights are
/// divided, they are always computed twice. Defaults are those of an H100 SXM, and of 100 Gb/s for each.
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada plan --model 8b --gpus 64 --batch 1280
  llada plan --model llada-8b-instruct --adapter 16 --base-dtype nf4-double --memory 24")]
pub(crate) struct Args {
    /// Folder with config.json, the name of a model that was fetched, or 8b for the shape of LLaDA-8B
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// Number of processes, each with a GPU
    #[arg(long, value_name = "N", default_value = "1")]
    gpus: NonZero<usize>,
    /// Rows of a step, of all processes together
    #[arg(long, value_name = "ROWS", default_value = "32")]
    batch: NonZero<usize>,
    /// Tokens of a row [default: the most that the model takes]
    #[arg(long, value_name = "TOKENS")]
    length: Option<NonZero<usize>>,
    /// Rows that a process computes together
    #[arg(long, value_name = "ROWS", default_value = "1")]
    micro_batch: NonZero<usize>,
    /// bf16 or f32: what is computed in
    #[arg(long, value_name = "DTYPE", default_value = "bf16")]
    dtype: Dtype,
    /// Rank r of a LoRA adapter of all linear layers, which is trained in place of the weights
    #[arg(long, value_name = "R")]
    adapter: Option<usize>,
    /// Format of the frozen weights: f32, bf16, int8, nf4 or nf4-double [default: --dtype]
    #[arg(long, value_name = "DTYPE", requires = "adapter")]
    base_dtype: Option<Precision>,
    /// Memory of a GPU, in gigabytes
    #[arg(long, value_name = "GB", default_value = "80", value_parser = positive, help_heading = GPU)]
    memory: f64,
    /// Operations a second of a GPU, in TFLOP/s
    #[arg(long, value_name = "TFLOPS", default_value = "989", value_parser = positive, help_heading = GPU)]
    flops: f64,
    /// Share of them that training reaches
    #[arg(long, value_name = "SHARE", default_value = "0.4", value_parser = share, help_heading = GPU)]
    utilisation: f64,
    /// What a process sends to the others while it receives as much, in gigabytes a second
    #[arg(long, value_name = "GB/S", default_value = "12.5", value_parser = positive, help_heading = GPU)]
    bandwidth: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let config = config(args)?;
    let shape = config.plan_shape();
    let run = args.run(&config)?;
    let machine = Machine {
        memory_bytes: args.memory * GB,
        flops: args.flops * TERA,
        utilisation: args.utilisation,
        bandwidth: args.bandwidth * GB,
    };
    let mut lines = Vec::new();
    for sharding in Sharding::ALL {
        for activation_checkpointing in [false, true] {
            let run = Run { activation_checkpointing, ..run };
            let plan = Plan::new(&shape, &run, &machine, sharding);
            // Where weights are divided, both are the same.
            if lines.last() != Some(&plan) {
                lines.push(plan);
            }
        }
    }
    if args.json {
        let report = json!({
            "model": args.model, "parameters": shape.parameters, "trained_parameters": run.trained_parameters,
            "gpus": args.gpus, "batch": args.batch, "length": run.length, "micro_batch": args.micro_batch,
            "dtype": args.dtype, "adapter": args.adapter, "base_dtype": args.adapter.map(|_| args.base()),
            "machine": machine, "plans": lines,
        });
        println!("{report}");
    } else {
        args.print(shape.parameters, &run);
        print_table(&lines);
    }
    Ok(())
}

impl Args {
    /// The format of frozen weights.
    fn base(&self) -> Precision {
        self.base_dtype.unwrap_or(self.dtype.into())
    }

    fn run(&self, config: &ModelConfig) -> anyhow::Result<Run> {
        let longest = config.max_sequence_length;
        let length = self.length.map_or(longest, NonZero::get);
        if length > longest {
            return Err(usage(format!("--length {length}: the model takes {longest} tokens at most")));
        }
        if let Some(r) = self.adapter {
            LoraConfig { r, ..LoraConfig::default() }.check().map_err(|error| usage(error.to_string()))?;
        }
        Ok(Run {
            ranks: self.gpus,
            batch_size: self.batch.get(),
            micro_batch_size: self.micro_batch,
            length,
            dtype_bytes: self.dtype.bytes(),
            trained_parameters: self.adapter.map_or_else(|| config.parameters(), |r| config.adapter_parameters(r)),
            frozen: self.adapter.map(|_| config.frozen(self.base())),
            activation_checkpointing: false,
        })
    }

    /// Prints what the table is of.
    fn print(&self, parameters: usize, run: &Run) {
        let millions = |parameters: usize| format!("{:.1} million", parameters as f64 / 1e6);
        let trained = match self.adapter {
            None => "all trained".to_owned(),
            Some(r) => {
                format!("frozen in {}; adapters of rank {r} with {}", self.base(), millions(run.trained_parameters))
            }
        };
        println!("model    {}: {} parameters, {trained}", self.model.display(), millions(parameters));
        let (rows, together) = (run.rows_per_rank(), self.micro_batch.get().min(run.rows_per_rank()));
        let (batch, length) = (self.batch, run.length);
        println!(
            "step     {batch} rows of {length} tokens: {rows} for each of {} GPUs, {together} at a time, in {}",
            self.gpus, self.dtype
        );
        println!(
            "GPU      {} GB, {} TFLOP/s of which {:.0} % are reached, {} GB/s to the others and back",
            self.memory,
            self.flops,
            self.utilisation * 100.0,
            self.bandwidth
        );
    }
}

fn config(args: &Args) -> anyhow::Result<ModelConfig> {
    if args.model.as_os_str() != LLADA_8B {
        return Ok(ModelConfig::load(&llada_hub::checkpoint(&args.model)?)?);
    }
    // The config.json of GSAI-ML/LLaDA-8B-Base.
    let keys = json!({
        "d_model": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 32, "mlp_hidden_size": 12288,
        "vocab_size": 126_464, "max_sequence_length": 4096, "rope_theta": 500_000.0, "weight_tying": false,
        "mask_token_id": 126_336, "eos_token_id": 126_081,
    });
    Ok(ModelConfig::from_keys(keys.as_object().cloned().unwrap_or_default())?)
}

fn print_table(lines: &[Plan]) {
    println!();
    println!("                  GB of memory");
    println!(
        "{:<10} {:<6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}  {:<4} {:>5} {:>8} {:>8} {:>8} {:>9}",
        "divided",
        "blocks",
        "weights",
        "gradient",
        "moments",
        "kept",
        "buffers",
        "total",
        "fits",
        "rows",
        "GB sent",
        "s a step",
        "waiting",
        "M tok/day"
    );
    for plan in lines {
        let memory = &plan.memory;
        let parts = [memory.weights, memory.gradient, memory.optimizer, memory.activations, memory.buffers];
        let parts: Vec<String> =
            parts.into_iter().chain([plan.total_bytes]).map(|bytes| format!("{:>8}", short(bytes / GB))).collect();
        println!(
            "{:<10} {:<6} {}  {:<4} {:>5} {:>8} {:>8} {:>8} {:>9}",
            plan.sharding.to_string(),
            if plan.activation_checkpointing { "twice" } else { "once" },
            parts.join(" "),
            if plan.fits { "yes" } else { "no" },
            plan.rows_that_fit,
            short(plan.traffic_bytes / GB),
            short(plan.seconds()),
            short(plan.waiting_seconds),
            short(plan.tokens_per_day / 1e6)
        );
    }
    println!();
    println!("blocks   computed once, or twice to save memory (activation_checkpointing)");
    println!("kept     by the blocks for the backward pass");
    println!("rows     as many as would fit at a time");
    println!("waiting  of the time of a step, in which nothing is computed");
    println!();
    println!("Computed, not measured. Divided weights are whole while the model is validated, answers or is saved.");
}

/// A number with three digits, or all before the point.
fn short(number: f64) -> String {
    let digits = match number {
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        x if x >= 0.9995 => 2,
        _ => 3,
    };
    format!("{number:.digits$}")
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("it is not above 0".to_owned()) }
}

fn share(text: &str) -> Result<f64, String> {
    positive(text).and_then(|share| if share <= 1.0 { Ok(share) } else { Err("it is above 1".to_owned()) })
}
