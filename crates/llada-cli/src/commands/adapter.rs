//! `llada adapter`: what is in a LoRA adapter, and merging it into the weights of its model.

use std::path::PathBuf;

use llada_model::{Adapter, LoraConfig, ModelConfig};
use serde::Serialize;

use crate::shards::{size, with_progress};

/// Work on LoRA adapters in peft's format
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Merge(MergeArgs),
    Inspect(InspectArgs),
}

/// Write a model with an adapter in its weights
///
/// The sum of weight and adapter is computed in f32 and rounded once, to the dtype in which the weight is stored. The
/// weights of a model in eight bits become bf16, all of them.
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada adapter merge --model llada-8b-instruct --adapter sft/adapter --out tuned")]
pub(crate) struct MergeArgs {
    /// Folder of the model, or the name of one that was fetched
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,

    /// Folder of the adapter
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,

    /// Folder to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Show an adapter's rank, layers, size and base model
#[derive(clap::Args)]
pub(crate) struct InspectArgs {
    /// Folder of the adapter
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Inspection {
    config: LoraConfig,
    base_model: Option<String>,
    /// The names of the modules with adapters.
    modules: Vec<String>,
    /// The names of the tensors that are replaced as a whole.
    saved: Vec<String>,
    parameters: usize,
    file_bytes: u64,
}

impl Inspection {
    fn new(adapter: &Adapter) -> anyhow::Result<Self> {
        let weights = adapter.weights()?;
        let (mut modules, mut saved, mut parameters) = (Vec::new(), Vec::new(), 0);
        for (name, _, shape) in weights.list() {
            parameters += shape.iter().product::<usize>();
            if let Some(module) = name.strip_suffix(".lora_A.weight") {
                modules.push(module.to_owned());
            } else if !name.ends_with(".lora_B.weight") {
                saved.push(name.to_owned());
            }
        }
        Ok(Self {
            config: adapter.config().clone(),
            base_model: adapter.base_model().map(str::to_owned),
            modules,
            saved,
            parameters,
            file_bytes: weights.file_bytes(),
        })
    }

    fn print(&self) -> anyhow::Result<()> {
        let LoraConfig { r, lora_alpha, lora_dropout, use_rslora, target_modules, .. } = &self.config;
        line("rank", r);
        for (name, patterns) in [
            ("rank_pattern", serde_json::to_string(&self.config.rank_pattern)?),
            ("alpha_pattern", serde_json::to_string(&self.config.alpha_pattern)?),
        ] {
            if patterns != "{}" {
                line(name, patterns);
            }
        }
        line("alpha", format!("{lora_alpha}, scaled by {}", if *use_rslora { "1/sqrt(rank)" } else { "1/rank" }));
        line("dropout", format!("{lora_dropout}, in training"));
        line("targets", serde_json::to_string(target_modules)?);
        line("modules", format!("{}, the first {}", self.modules.len(), self.modules.first().map_or("", |name| name)));
        if !self.saved.is_empty() {
            line("saved whole", self.saved.join(", "));
        }
        line("parameters", self.parameters);
        line("file", format!("{:.1} MB", self.file_bytes as f64 / 1e6));
        line("base model", self.base_model.as_deref().unwrap_or("not named"));
        Ok(())
    }
}

fn line(name: &str, value: impl std::fmt::Display) {
    println!("{name:<13} {value}");
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Merge(args) => merge(&args),
        Command::Inspect(args) => {
            let inspection = Inspection::new(&Adapter::open(&llada_hub::checkpoint(&args.folder)?)?)?;
            if args.json {
                println!("{}", serde_json::to_string(&inspection)?);
                return Ok(());
            }
            inspection.print()
        }
    }
}

fn merge(args: &MergeArgs) -> anyhow::Result<()> {
    let folder = llada_hub::checkpoint(&args.model)?;
    let adapter = Adapter::open(&llada_hub::checkpoint(&args.adapter)?)?;
    if ModelConfig::load(&folder)?.is_quantized {
        eprintln!("note: the weights of {} are in eight bits: they become bf16", folder.display());
    }
    with_progress(|progress| llada_model::merge(&folder, &adapter, &args.out, progress))?;
    println!("{} -> {}", size(&folder)?, size(&args.out)?);
    Ok(())
}
