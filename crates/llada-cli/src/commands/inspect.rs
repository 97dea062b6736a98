//! `llada inspect`: the content of a checkpoint, and the memory it needs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use llada_model::{
    AttentionPattern, ConfigReading, Dtype, Int8Kernel, ModelConfig, ModelError, Precision, Tokenizer, Weights,
};
use serde::Serialize;

use crate::hint;

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
    /// `None` if the architecture is not supported, or the shape cannot be determined.
    config: Option<ModelConfig>,
    /// The keys of config.json that have no effect.
    keys_without_effect: Vec<String>,
    parameters: Option<usize>,
    /// The number of tensors by dtype.
    tensors: BTreeMap<String, usize>,
    file_bytes: u64,
    /// The weight files in the folder that are not read because others take precedence.
    unread_files: Vec<String>,
    f32_bytes: Option<usize>,
    bf16_bytes: Option<usize>,
    /// What the weights take where eight bits have a kernel.
    int8_bytes: Option<usize>,
    /// The kernel for eight bits on this machine, or `None` if int8 is dequantised.
    int8_kernel: Option<String>,
    /// The memory that is available to a new process, if the system reports it.
    available_bytes: Option<u64>,
    tokenizer: bool,
    /// The reason why the tokenizer has no usable chat template, if it has none.
    chat_problem: Option<String>,
    /// The reasons why the checkpoint does not load.
    problems: Vec<String>,
}

impl Inspection {
    fn new(folder: &Path) -> Self {
        let ConfigReading { config, problems, without_effect, .. } = ModelConfig::inspect(folder);
        let parameters = config.as_ref().map(ModelConfig::parameters);
        let bytes = |precision: Precision| config.as_ref().map(|config| config.weight_bytes(precision));
        let mut inspection = Self {
            keys_without_effect: without_effect,
            parameters,
            tensors: BTreeMap::new(),
            file_bytes: 0,
            unread_files: Vec::new(),
            f32_bytes: bytes(Dtype::F32.into()),
            bf16_bytes: bytes(Dtype::Bf16.into()),
            int8_bytes: bytes(Precision::Int8),
            int8_kernel: Int8Kernel::best().map(|kernel| kernel.to_string()),
            available_bytes: available_bytes(),
            tokenizer: false,
            chat_problem: None,
            problems: Vec::new(),
            config,
        };
        for problem in problems {
            inspection.note(problem);
        }
        match Weights::open(folder) {
            Ok(weights) => inspection.read_weights(weights),
            Err(error) => inspection.note(error),
        }
        inspection.read_tokenizer(folder);
        inspection
    }

    fn read_weights(&mut self, mut weights: Weights) {
        self.file_bytes = weights.file_bytes();
        for (_, dtype, _) in weights.list() {
            *self.tensors.entry(format!("{dtype:?}")).or_default() += 1;
        }
        match weights.unread_files() {
            Ok(files) => self.unread_files = files,
            Err(error) => self.note(error),
        }
        let problems = self.config.as_ref().map(|config| weights.check(config)).unwrap_or_default();
        for problem in problems {
            self.note(problem);
        }
    }

    fn read_tokenizer(&mut self, folder: &Path) {
        let tokenizer = match &self.config {
            Some(config) => Tokenizer::load(folder, config),
            None => Tokenizer::open(folder),
        };
        match tokenizer {
            Ok(tokenizer) => {
                self.chat_problem = tokenizer.as_ref().and_then(Tokenizer::chat_problem).map(str::to_owned);
                self.tokenizer = tokenizer.is_some();
            }
            Err(error) => self.note(error),
        }
    }

    /// Records a reason why the checkpoint does not load. Several readers may find the same one, which is recorded
    /// once.
    fn note(&mut self, problem: ModelError) {
        let hint = hint::of(&problem).map(|hint| format!("\nhint: {}", hint.render(hint::flag))).unwrap_or_default();
        let problem = format!("{problem}{hint}");
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn print(&self) {
        if let Some(config) = &self.config {
            print_config(config);
        }
        print_list("no effect", &self.keys_without_effect);
        line("tokenizer", if self.tokenizer { "yes" } else { "none: works on ids alone" });
        if self.tokenizer {
            let problem = self.chat_problem.as_deref().map_or("yes".to_owned(), |problem| format!("none: {problem}"));
            line("chats", problem.replace("\nhint: ", "; "));
        }
        let counts: Vec<String> = self.tensors.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
        print_list("tensors", &counts);
        if let Some(parameters) = self.parameters {
            line("parameters", format!("{:.1} million", parameters as f64 / 1e6));
        }
        line("files", megabytes(self.file_bytes));
        print_list("not read", &self.unread_files);
        // Without a kernel the weights are dequantised to bf16 or f32.
        let int8_bytes = self.int8_bytes.filter(|_| self.int8_kernel.is_some());
        let memory = [
            (Precision::Float(Dtype::F32), self.f32_bytes),
            (Precision::Float(Dtype::Bf16), self.bf16_bytes),
            (Precision::Int8, int8_bytes),
        ];
        for (precision, bytes) in memory {
            let Some(bytes) = bytes.map(|bytes| bytes as u64) else { continue };
            let fits = match self.available_bytes {
                Some(available) if bytes < available => format!(", fits in the {} free", megabytes(available)),
                Some(available) => format!(", does not fit in the {} free", megabytes(available)),
                None => String::new(),
            };
            line(&format!("as {precision}"), format!("{}{fits}", megabytes(bytes)));
        }
        line("int8 kernel", self.int8_kernel.as_deref().unwrap_or("none on this processor: weights are dequantised"));
    }
}

fn print_config(config: &ModelConfig) {
    line("architecture", config.family);
    line("layers", format!("{} of width {}", config.num_hidden_layers, config.hidden_size));
    let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
    line("heads", format!("{heads} of width {}, {kv_heads} for keys and values", config.head_dim));
    if let Some(moe) = &config.moe {
        let with_experts = moe.layers.count(config.num_hidden_layers);
        let shared = moe.shared_expert_intermediate_size.map(|size| format!(", and one of {size} for all"));
        let experts = format!(
            "in {with_experts} layers {} of {} hidden, {} a token{}",
            moe.num_experts,
            moe.expert_intermediate_size,
            moe.num_experts_per_tok,
            shared.unwrap_or_default()
        );
        line("experts", experts);
    }
    if config.moe.as_ref().is_none_or(|moe| moe.layers.count(config.num_hidden_layers) < config.num_hidden_layers) {
        line("mlp", format!("{} hidden", config.intermediate_size));
    }
    if let AttentionPattern::BlockCausal { block_length } = config.attention {
        line(
            "attention",
            format!("causal from block to block, {block_length} tokens each unless the sampler says otherwise"),
        );
    }
    let head = if config.tie_word_embeddings { "head tied to it" } else { "head of its own" };
    line("vocabulary", format!("{} ids in {} rows, {head}", config.vocab_size, config.embedding_size));
    line("sequence", format!("at most {} tokens, rope theta {}", config.max_sequence_length, config.rope_theta));
    let ends: Vec<String> = config.other_eos_token_ids.iter().map(|id| format!(", {id}")).collect();
    line("special ids", format!("mask {}, end of text {}{}", config.mask_token_id, config.eos_token_id, ends.concat()));
}

fn line(name: &str, value: impl std::fmt::Display) {
    println!("{name:<13} {value}");
}

/// Prints a line of items, unless there are none.
fn print_list(name: &str, items: &[String]) {
    if !items.is_empty() {
        line(name, items.join(", "));
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let folder = llada_hub::checkpoint(&args.folder)?;
    let inspection = Inspection::new(&folder);
    if args.json {
        println!("{}", serde_json::to_string(&inspection)?);
    } else {
        inspection.print();
    }
    match inspection.problems.as_slice() {
        [] => Ok(()),
        problems => {
            // A hint is a second line of its reason, and indented once more.
            let reasons: Vec<String> = problems.iter().map(|problem| problem.replace('\n', "\n    ")).collect();
            anyhow::bail!("{} does not load:\n  {}", folder.display(), reasons.join("\n  "))
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

/// Returns the memory that Linux reports as available without swapping, in bytes.
fn available_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
