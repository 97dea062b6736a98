//! The run file: TOML whose keys are the fields of [`RunConfig`]. Any other key is an error.
//!
//! Defaults, file and flags are merged before they are read, so that a flag is a key like any other.

mod adapter;
mod data;
mod distillation;
mod preference;
mod rl;
mod sft;
mod training;

use std::{
    fs,
    path::{Path, PathBuf},
};

use llada_model::{Device, Dtype, LoraConfig, ModelConfig, Precision};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::{
    data::{Data, DataPart},
    distillation::{DistillationConfig, DistillationMethod},
    preference::{LossName, Masks, PreferenceConfig},
    rl::RlConfig,
    sft::{Padding, SftConfig, Turns},
    training::Training,
};

use crate::{
    TrainError, byte_order_mark,
    lr::ScheduleConfig,
    objective::Objective,
    optimizer::{OptimizerConfig, Shard},
};

/// Everything that a run depends on. Values in brackets are defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The run's folder: checkpoints, metrics, and at the end the model.
    pub out: PathBuf,
    /// The dataset to train on, or several with their weights; in fine-tuning also conversations, in a file or a
    /// folder; in preference optimisation and distillation, a file of JSON lines or a folder of such.
    pub data: Option<Data>,
    /// The dataset to validate on, in all but pre-training also conversations \[none\].
    pub validation: Option<PathBuf>,
    /// The checkpoint to start from \[none: new weights of the shape in `model`\].
    pub init: Option<PathBuf>,
    /// The folder of the tokenizer, for new weights \[that of `init`\].
    pub tokenizer: Option<PathBuf>,
    /// The shape of new weights.
    pub model: Option<ModelShape>,
    /// The LoRA adapter that is trained in place of the weights of `init`, which are frozen \[none\].
    pub adapter: Option<LoraConfig>,
    /// The folder of an adapter in peft's format that the run goes on with; its settings are those of `adapter`, in
    /// which `lora_dropout` alone may be another \[none: a new adapter\].
    pub init_adapter: Option<PathBuf>,
    /// The format of the frozen weights of `init`, if an adapter is trained: `f32`, `bf16`, `int8`, `nf4`, or
    /// `nf4-double`, whose scales are quantised too \[dtype\].
    pub base_dtype: Option<Precision>,
    /// `diffusion`, LLaDA's, or `ar`, the autoregressive baseline \[diffusion\].
    #[serde(default)]
    pub objective: Objective,
    /// The number of steps of the optimizer.
    pub steps: u64,
    /// The number of rows of a step \[32\].
    pub batch_size: usize,
    /// The number of rows that are computed together; a step adds up their gradients \[batch_size\].
    pub micro_batch_size: Option<usize>,
    /// The number of tokens of a row in pre-training \[the model's max_sequence_length\].
    pub row_length: Option<usize>,
    /// The seed of all randomness \[0\].
    pub seed: u64,
    /// The dtype of computation, `bf16` or `f32`; weights are f32 either way \[bf16\].
    pub dtype: Dtype,
    /// `cpu`, `cuda` or `cuda:1` \[cpu\].
    pub device: Device,
    /// Whether one step of pre-training in a hundred sees short rows \[true\].
    pub random_length: bool,
    /// Whether the noise levels of a batch are spread evenly \[false, as in the paper\].
    pub stratified_t: bool,
    /// Whether records of fine-tuning are batched with others of about their length \[false, as in the paper\].
    pub group_by_length: bool,
    /// What the processes of a run divide among them to save memory: `none`; `optimizer`, the moments of AdamW and the
    /// moving average of the weights; `gradient`, that too; or `weights`, these too, with blocks computed twice
    /// \[none\].
    #[serde(default)]
    pub shard: Shard,
    /// Whether blocks are computed twice to save memory \[false\].
    pub activation_checkpointing: bool,
    /// The decay of a moving average of the weights, which the exported model then has \[none\].
    pub ema_decay: Option<f64>,
    /// The number of steps between checkpoints \[500\].
    pub checkpoint_every: u64,
    /// The number of checkpoints that are kept \[2\].
    pub keep: usize,
    /// The number of steps between validations \[500\].
    pub validate_every: u64,
    /// The number of rows that are validated on \[16\].
    pub validation_rows: usize,
    /// The number of maskings of each of them \[16\].
    pub mc_num: usize,
    /// The dtype that the exported model is stored in, `bf16` or `f32` \[bf16, of an adapter f32\].
    pub export_dtype: Dtype,
    /// The settings of fine-tuning.
    #[serde(default)]
    pub sft: SftConfig,
    /// The settings of preference optimisation.
    #[serde(default)]
    pub preference: PreferenceConfig,
    /// The settings of distillation.
    #[serde(default)]
    pub distillation: DistillationConfig,
    /// The settings of reinforcement learning.
    #[serde(default)]
    pub rl: RlConfig,
    /// The settings of AdamW.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The learning rate.
    pub schedule: ScheduleConfig,
}

/// The shape of a new model. The tokenizer decides the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// The width of the residual stream.
    pub d_model: usize,
    /// The number of blocks.
    pub n_layers: usize,
    /// The number of query heads.
    pub n_heads: usize,
    /// The number of key and value heads \[n_heads\].
    pub n_kv_heads: Option<usize>,
    /// The hidden width of the gated MLP.
    pub mlp_hidden_size: usize,
    /// The length of the longest sequence.
    pub max_sequence_length: usize,
    /// The base of the rotary embedding's frequencies \[500000\].
    pub rope_theta: Option<f64>,
    /// Whether the head is the embedding's transpose \[false\].
    pub weight_tying: Option<bool>,
}

const DEFAULTS: &str = r#"
batch_size = 32
seed = 0
dtype = "bf16"
device = "cpu"
random_length = true
stratified_t = false
group_by_length = false
activation_checkpointing = false
checkpoint_every = 500
keep = 2
validate_every = 500
validation_rows = 16
mc_num = 16
rl = { objective = "espo" }
"#;

impl RunConfig {
    /// Reads the run file `path` for `training`. The keys in `flags` replace those of the file.
    ///
    /// # Errors
    /// The file cannot be read; a key is missing, unknown, or has a value that cannot be honoured.
    pub fn load(path: &Path, training: Training, flags: Table) -> Result<Self, TrainError> {
        let bytes = fs::read(path).map_err(TrainError::read(path))?;
        let text = std::str::from_utf8(byte_order_mark::skip(&bytes)).map_err(|e| TrainError::file(path, e))?;
        let file = text.parse().map_err(|e| TrainError::file(path, e))?;
        Self::from_tables(training, [file, flags])
    }

    /// Reads keys; those of later tables replace those of earlier ones.
    ///
    /// # Errors
    /// A key is missing, unknown, or has a value that cannot be honoured.
    pub fn from_tables(training: Training, tables: impl IntoIterator<Item = Table>) -> Result<Self, TrainError> {
        let refuse = |e: toml::de::Error| TrainError::Settings { message: e.to_string().trim_end().to_owned() };
        let mut keys: Table = DEFAULTS.parse().map_err(refuse)?;
        let schedule =
            Value::try_from(training.schedule()).map_err(|e| TrainError::Settings { message: e.to_string() })?;
        keys.insert("schedule".to_owned(), schedule);
        let mut given = Table::new();
        for table in tables {
            merge(&mut given, table);
        }
        training.check_keys(&given)?;
        training.complete(&mut given);
        merge(&mut keys, given.clone());
        let has_adapter = ["adapter", "init_adapter"].iter().any(|key| keys.contains_key(*key));
        let export_dtype = if has_adapter { Dtype::F32 } else { Dtype::Bf16 };
        keys.entry("export_dtype").or_insert(export_dtype.to_string().into());
        let mut config: Self = keys.try_into().map_err(refuse)?;
        if let Some(folder) = &config.init_adapter {
            let given = given.get("adapter").and_then(Value::as_table);
            config.adapter = Some(adapter::settings(folder, given, config.adapter.as_ref())?);
        }
        config.check()?;
        if config.objective == Objective::Ar && !matches!(training, Training::Pretrain | Training::Sft) {
            let hint = "pre-training and fine-tuning alone have it: start from a mask predictor";
            return Err(TrainError::config("objective", "ar", hint));
        }
        match training {
            Training::Rl => config.rl.check(config.batch_size)?,
            Training::Distillation => config.distillation.objective.check_keys(&given)?,
            _ => {}
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), TrainError> {
        let at_least_one = [
            ("steps", self.steps),
            ("batch_size", self.batch_size as u64),
            ("micro_batch_size", self.micro_batch_size() as u64),
            ("row_length", self.row_length.unwrap_or(1) as u64),
            ("checkpoint_every", self.checkpoint_every),
            ("keep", self.keep as u64),
            ("validate_every", self.validate_every),
            ("validation_rows", self.validation_rows as u64),
            ("mc_num", self.mc_num as u64),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(TrainError::config(key, value, "it has to be at least 1"));
            }
        }
        if self.steps > u64::from(u32::MAX) {
            return Err(TrainError::config("steps", self.steps, "2^32 - 1 at most"));
        }
        if self.objective == Objective::Ar && self.stratified_t {
            return Err(TrainError::config("stratified_t", true, "objective ar has no noise levels: leave it out"));
        }
        if let Some(decay) = self.ema_decay.filter(|decay| !(0.0..1.0).contains(decay)) {
            return Err(TrainError::config("ema_decay", decay, "give a number from 0 to below 1, such as 0.999"));
        }
        if let Some(data) = &self.data {
            data.check()?;
        }
        self.sft.check(self.objective)?;
        self.preference.check()?;
        self.distillation.check()?;
        match (&self.adapter, self.base_dtype) {
            (None, Some(base)) => {
                return Err(TrainError::config("base_dtype", base, "it is that of frozen weights: give [adapter] too"));
            }
            (Some(_), _) if self.init.is_none() => {
                let key = if self.init_adapter.is_some() { "init_adapter" } else { "adapter" };
                return Err(TrainError::config(key, "given", "give init too, the checkpoint that it changes"));
            }
            (Some(adapter), _) => adapter.check()?,
            (None, None) => {}
        }
        self.schedule.check()
    }

    /// What to train on.
    pub(crate) fn data(&self) -> Result<&Data, TrainError> {
        self.data.as_ref().ok_or_else(|| TrainError::config("data", "missing", "say what to train on"))
    }

    /// What to train on, if it is one file or folder.
    ///
    /// # Errors
    /// It is missing, or a list.
    pub fn one_data(&self) -> Result<&Path, TrainError> {
        let several = || TrainError::config("data", "a list", "pre-training and fine-tuning alone mix datasets");
        self.data()?.one().ok_or_else(several)
    }

    /// The files of `data` that end with `extension`, in the order of their names, or `data` itself if it is a file.
    pub(crate) fn data_files(&self, extension: &str) -> Result<Vec<PathBuf>, TrainError> {
        let data = self.one_data()?;
        if !data.is_dir() {
            return Ok(vec![data.to_owned()]);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(data).map_err(TrainError::read(data))? {
            let path = entry.map_err(TrainError::read(data))?.path();
            if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
        files.sort_unstable();
        if files.is_empty() {
            return Err(TrainError::file(data, format!("no file ends with .{extension}")));
        }
        Ok(files)
    }

    /// The number of rows that are computed together.
    pub fn micro_batch_size(&self) -> usize {
        self.micro_batch_size.unwrap_or(self.batch_size)
    }

    /// The folder of the checkpoints.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.out.join("checkpoints")
    }

    /// The folder of the exported model or adapter.
    pub(crate) fn exported(&self) -> PathBuf {
        self.out.join(if self.adapter.is_some() { "adapter" } else { "model" })
    }

    /// The folder whose tokenizer goes into checkpoints and the exported model.
    pub fn tokenizer_folder(&self) -> Option<&Path> {
        self.tokenizer.as_deref().or(self.init.as_deref())
    }
}

impl ModelShape {
    /// The config of a model of this shape over a vocabulary.
    pub(crate) fn config(
        &self,
        objective: Objective,
        vocab_size: usize,
        mask_token_id: u32,
        eos_token_id: u32,
    ) -> Result<ModelConfig, TrainError> {
        let keys = serde_json::json!({
            "d_model": self.d_model, "n_layers": self.n_layers, "n_heads": self.n_heads,
            "n_kv_heads": self.n_kv_heads.unwrap_or(self.n_heads), "mlp_hidden_size": self.mlp_hidden_size,
            "max_sequence_length": self.max_sequence_length, "rope_theta": self.rope_theta.unwrap_or(500_000.0),
            "weight_tying": self.weight_tying.unwrap_or(false), "is_causal": objective == Objective::Ar,
            "vocab_size": vocab_size, "mask_token_id": mask_token_id, "eos_token_id": eos_token_id,
        });
        Ok(ModelConfig::from_keys(keys.as_object().cloned().unwrap_or_default())?)
    }
}

/// Puts `over`'s keys into `keys`; tables are merged, everything else is replaced.
fn merge(keys: &mut Table, over: Table) {
    for (key, value) in over {
        match (keys.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => _ = keys.insert(key, value),
        }
    }
}
