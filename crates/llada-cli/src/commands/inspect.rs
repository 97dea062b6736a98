//! `llada inspect`: what a checkpoint holds, and whether it fits.

use std::{collections::BTreeMap, fs, path::PathBuf};

use llada_model::{Dtype, LladaConfig, Tokenizer, Weights};
use serde::Serialize;

/// Show a checkpoint's config, tensors, parameters, dtype and memory, without loading it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with config.json and safetensors weights, or the name of a model in the Hugging Face cache
    #[arg(value_name = "MODEL")]
    folder: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Inspection {
    config: LladaConfig,
    parameters: usize,
    /// Number of tensors by dtype.
    tensors: BTreeMap<String, usize>,
    file_bytes: u64,
    f32_bytes: usize,
    bf16_bytes: usize,
    /// Memory that the system could give a new process now, where it tells.
    available_bytes: Option<u64>,
    tokenizer: bool,
    /// Why the tokenizer speaks no chats, if it does not; texts and ids are not concerned.
    chat_problem: Option<String>,
    /// What keeps the checkpoint from loading.
    problems: Vec<String>,
}

impl Inspection {
    fn new(folder: &std::path::Path) -> anyhow::Result<Self> {
        let config = LladaConfig::load(folder)?;
        let mut weights = Weights::open(folder)?;
        let file_bytes = weights.file_bytes();
        let mut tensors = BTreeMap::new();
        for (_, dtype, _) in weights.list() {
            *tensors.entry(format!("{dtype:?}")).or_default() += 1;
        }
        let mut problems: Vec<String> = weights.take_all(&config).iter().map(ToString::to_string).collect();
        problems.extend(weights.finish().err().map(|error| error.to_string()));
        let tokenizer = Tokenizer::load(folder, &config).unwrap_or_else(|error| {
            problems.push(error.to_string());
            None
        });
        let parameters = config.parameters();
        Ok(Self {
            parameters,
            tensors,
            file_bytes,
            f32_bytes: parameters * Dtype::F32.bytes(),
            bf16_bytes: parameters * Dtype::Bf16.bytes(),
            available_bytes: available_bytes(),
            chat_problem: tokenizer.as_ref().and_then(Tokenizer::chat_problem).map(str::to_owned),
            tokenizer: tokenizer.is_some(),
            problems,
            config,
        })
    }

    fn print(&self) {
        let config = &self.config;
        let line = |name: &str, value: String| println!("{name:<13} {value}");
        line("layers", format!("{} of width {}", config.n_layers, config.d_model));
        let heads =
            format!("{} of width {}, {} for keys and values", config.n_heads, config.head_dim(), config.n_kv_heads);
        line("heads", heads);
        line("mlp", format!("{} hidden", config.mlp_hidden_size));
        let head = if config.weight_tying { "head tied to it" } else { "head of its own" };
        line("vocabulary", format!("{} ids in {} rows, {head}", config.vocab_size, config.embedding_size));
        line("sequence", format!("at most {} tokens, rope theta {}", config.max_sequence_length, config.rope_theta));
        line("special ids", format!("mask {}, end of text {}", config.mask_token_id, config.eos_token_id));
        line("tokenizer", if self.tokenizer { "yes" } else { "none: works on ids alone" }.to_owned());
        if self.tokenizer {
            let problem = self.chat_problem.as_deref().map_or("yes".to_owned(), |problem| format!("none: {problem}"));
            line("chats", problem.replace("\nhint: ", "; "));
        }
        let counts: Vec<String> = self.tensors.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
        line("tensors", counts.join(", "));
        line("parameters", format!("{:.1} million", self.parameters as f64 / 1e6));
        line("files", megabytes(self.file_bytes));
        for (dtype, bytes) in [(Dtype::F32, self.f32_bytes as u64), (Dtype::Bf16, self.bf16_bytes as u64)] {
            let fits = match self.available_bytes {
                Some(available) if bytes < available => format!(", fits in the {} free", megabytes(available)),
                Some(available) => format!(", does not fit in the {} free", megabytes(available)),
                None => String::new(),
            };
            line(&format!("as {dtype}"), format!("{}{fits}", megabytes(bytes)));
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let folder = llada_hub::checkpoint(&args.folder)?;
    let inspection = Inspection::new(&folder)?;
    if args.json {
        println!("{}", serde_json::to_string(&inspection)?);
    } else {
        inspection.print();
    }
    match inspection.problems.as_slice() {
        [] => Ok(()),
        problems => anyhow::bail!("{} does not load:\n  {}", folder.display(), problems.join("\n  ")),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

/// Linux tells in kB what could be had without swapping.
fn available_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
