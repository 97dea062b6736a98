//! `config.json` of LLaDA-8B and LLaDA-1.5: every key is honoured, known to change nothing, or refused by name.
//!
//! Source: `configuration_llada.py` of the published checkpoints, whose defaults absent keys have. A key is refused only
//! if its value could change the function that is computed into one that this crate does not compute.

mod architecture;
mod keys;
mod known;

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use self::keys::Keys;
use crate::{ModelError, files, folder, names};

/// The shape of a LLaDA Transformer (LLaDA-8B's values in brackets).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LladaConfig {
    /// Width of the residual stream \[4096\].
    pub d_model: usize,
    /// Number of Transformer blocks \[32\].
    pub n_layers: usize,
    /// Number of query heads \[32\].
    pub n_heads: usize,
    /// Number of key and value heads; each serves `n_heads / n_kv_heads` query heads \[32\].
    pub n_kv_heads: usize,
    /// Hidden width of the gated MLP \[12288\].
    pub mlp_hidden_size: usize,
    /// Number of token ids that may be emitted \[126464\].
    pub vocab_size: usize,
    /// Rows of the embedding and of the head; those from `vocab_size` on are padding \[126464\].
    pub embedding_size: usize,
    /// Longest sequence, prompt and answer together \[4096\].
    pub max_sequence_length: usize,
    /// Base of the rotary embedding's frequencies \[500000\].
    pub rope_theta: f64,
    /// Whether the rotation is computed in f32 whatever the weights' dtype \[true\].
    pub rope_full_precision: bool,
    /// Epsilon inside the root mean square \[1e-5\].
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding's transpose \[false\].
    pub weight_tying: bool,
    /// Whether every linear layer has a bias \[false\].
    pub include_bias: bool,
    /// Whether the query, key and value projections have a bias \[false\].
    pub include_qkv_bias: bool,
    /// Whether a token sees only those before it: the autoregressive baseline that LLaDA is compared with; a key of this
    /// crate's own \[false\].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_causal: bool,
    /// Whether the linear layers are stored in eight bits, as [`quantize`](crate::quantize) does \[false\].
    #[serde(skip)]
    pub is_quantized: bool,
    /// Id of the mask token M \[126336\].
    pub mask_token_id: u32,
    /// Id of the end of the text, which also pads; the first where the config lists several \[126081\].
    pub eos_token_id: u32,
    /// The other ids of a list in `eos_token_id`: an answer's text ends at any of them too \[none\].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_eos_token_ids: Vec<u32>,
}

/// What a `config.json` says, whether or not its model can be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConfigReading {
    /// The config; none if the architecture is another, or the shapes of the tensors cannot be told.
    pub config: Option<LladaConfig>,
    /// Every reason for which the model does not load, as far as the config tells.
    pub problems: Vec<ModelError>,
    /// Keys that are there and change nothing, by name.
    pub without_effect: Vec<String>,
}

impl ConfigReading {
    fn failed(problem: ModelError) -> Self {
        Self { config: None, problems: vec![problem], without_effect: Vec::new() }
    }

    /// The config, unless there is a problem: then the first.
    fn into_config(self) -> Result<LladaConfig, ModelError> {
        match (self.config, self.problems.into_iter().next()) {
            (Some(config), None) => Ok(config),
            (_, problem) => Err(problem.unwrap_or_else(|| ModelError::config("d_model", "the shape cannot be told"))),
        }
    }
}

impl LladaConfig {
    /// Reads `config.json` in `folder`. Null is absent, and absent is what the published configuration class has.
    ///
    /// # Errors
    /// The file cannot be read or parsed, the architecture is another, or a key is unknown, refused or impossible.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        Self::inspect(folder).into_config()
    }

    /// Reads `config.json` in `folder` as [`load`](Self::load) does, and collects everything that is wrong with it.
    pub fn inspect(folder: &Path) -> ConfigReading {
        match folder::check(folder).and_then(|()| files::read_json(&folder.join("config.json"))) {
            Ok(keys) => Self::read(keys),
            Err(error) => ConfigReading::failed(error),
        }
    }

    /// The config of new weights. Keys are those of a `config.json`; those that make a model LLaDA's, such as `rope`,
    /// need not be there.
    ///
    /// # Errors
    /// A key is missing, unknown, refused or impossible; the error names it.
    pub fn from_keys(mut keys: Map<String, Value>) -> Result<Self, ModelError> {
        for known::Fixed { key, value, .. } in known::fixed(false) {
            keys.entry(key).or_insert(value);
        }
        Self::read(keys).into_config()
    }

    fn read(keys: Map<String, Value>) -> ConfigReading {
        if let Some(found) = architecture::foreign(&keys) {
            return ConfigReading::failed(ModelError::Architecture { found, read: architecture::read() });
        }
        let (mut keys, mut config) = (Keys::new(keys), Self::published());
        config.read_shape(&mut keys);
        let has_shape = keys.problems.is_empty();
        config.read_rest(&mut keys);
        // What other keys say is compared with a shape that is known alone.
        let own = if has_shape { config.own_keys() } else { Map::new() };
        keys.finish(&own, config.include_bias, config.rope_theta);
        let Keys { problems, without_effect, .. } = keys;
        ConfigReading { config: has_shape.then_some(config), problems, without_effect }
    }

    /// What the published configuration class has where keys are absent.
    fn published() -> Self {
        Self {
            d_model: 768,
            n_layers: 12,
            n_heads: 12,
            n_kv_heads: 12,
            mlp_hidden_size: 3072,
            vocab_size: 50_257,
            embedding_size: 50_257,
            max_sequence_length: 1024,
            rope_theta: 10_000.0,
            rope_full_precision: true,
            rms_norm_eps: 1e-5,
            weight_tying: true,
            include_bias: false,
            include_qkv_bias: false,
            is_causal: false,
            is_quantized: false,
            // GPT-2's end of the text for both, which is no mask: these two have to be given.
            mask_token_id: 50_256,
            eos_token_id: 50_256,
            other_eos_token_ids: Vec::new(),
        }
    }

    /// The keys that settle which tensors there are, and their shapes.
    fn read_shape(&mut self, keys: &mut Keys) {
        self.d_model = keys.size("d_model").unwrap_or(self.d_model);
        self.n_layers = keys.size("n_layers").unwrap_or(self.n_layers);
        self.n_heads = keys.size("n_heads").unwrap_or(self.n_heads);
        let multi_query_attention = keys.flag("multi_query_attention");
        let n_kv_heads = if multi_query_attention == Some(true) { 1 } else { self.n_heads };
        self.n_kv_heads = keys.size("n_kv_heads").unwrap_or(n_kv_heads);
        if let Some(flag) = multi_query_attention.filter(|_| self.n_kv_heads != n_kv_heads) {
            keys.refuse("multi_query_attention", format!("{flag} contradicts n_kv_heads {}", self.n_kv_heads));
        }
        self.mlp_hidden_size = match keys.size("mlp_hidden_size") {
            Some(size) => size,
            None => keys.size("mlp_ratio").unwrap_or(4).saturating_mul(self.d_model),
        };
        self.vocab_size = keys.size("vocab_size").unwrap_or(self.vocab_size);
        // Absent is 50304 there, GPT-2's vocabulary rounded up, which fits no other; null is this there too.
        self.embedding_size = keys.size("embedding_size").unwrap_or(self.vocab_size);
        self.weight_tying = keys.flag("weight_tying").unwrap_or(self.weight_tying);
        self.include_bias = keys.flag("include_bias").unwrap_or(self.include_bias);
        self.include_qkv_bias = keys.flag("include_qkv_bias").unwrap_or(self.include_qkv_bias);
        self.is_quantized = keys.is_quantized();
        if keys.problems.is_empty() {
            self.check_shape(keys);
        }
    }

    fn check_shape(&self, keys: &mut Keys) {
        let Self { d_model, n_heads, n_kv_heads, mlp_hidden_size, vocab_size, embedding_size, .. } = *self;
        let is_divided = d_model.is_multiple_of(n_heads);
        if !is_divided {
            keys.refuse("n_heads", format!("{n_heads} does not divide d_model {d_model}"));
        } else if !self.head_dim().is_multiple_of(2) {
            keys.refuse("n_heads", format!("head width {} is odd, rotation needs pairs", self.head_dim()));
        }
        if !n_heads.is_multiple_of(n_kv_heads) {
            keys.refuse("n_kv_heads", format!("{n_kv_heads} does not divide n_heads {n_heads}"));
        }
        if mlp_hidden_size > keys::LARGEST {
            keys.refuse("mlp_ratio", format!("d_model times it, {mlp_hidden_size}, is more than {}", keys::LARGEST));
        }
        if embedding_size < vocab_size {
            keys.refuse("embedding_size", format!("{embedding_size} is less than vocab_size {vocab_size}"));
        }
    }

    fn read_rest(&mut self, keys: &mut Keys) {
        self.max_sequence_length = keys.size("max_sequence_length").unwrap_or(self.max_sequence_length);
        self.rope_theta = keys.positive("rope_theta").unwrap_or(self.rope_theta);
        self.rope_full_precision = keys.flag("rope_full_precision").unwrap_or(self.rope_full_precision);
        self.rms_norm_eps = keys.positive("rms_norm_eps").unwrap_or(self.rms_norm_eps);
        self.is_causal = keys.flag("is_causal").unwrap_or(self.is_causal);
        let masks = keys.ids("mask_token_id", self.vocab_size);
        self.mask_token_id = masks.first().copied().unwrap_or(self.mask_token_id);
        if masks.len() > 1 {
            keys.refuse("mask_token_id", format!("{masks:?} are several, LLaDA has one"));
        }
        let mut ends = keys.ids("eos_token_id", self.vocab_size).into_iter();
        self.eos_token_id = ends.next().unwrap_or(self.eos_token_id);
        self.other_eos_token_ids = ends.collect();
    }

    /// Its fields by their names in the file.
    fn own_keys(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(keys)) => keys,
            _ => Map::new(),
        }
    }

    /// The keys of a `config.json` for weights stored in `torch_dtype`, complete as upstream's readers expect them.
    pub(crate) fn to_keys(&self, torch_dtype: &str) -> Map<String, Value> {
        let fixed = known::fixed(self.include_bias).map(|known::Fixed { key, value, .. }| (key.to_owned(), value));
        let mut keys: Map<String, Value> = fixed.into_iter().collect();
        keys.extend(self.own_keys());
        let inert = json!({
            "alibi_bias_max": 8.0, "architectures": ["LLaDAModelLM"], "attention_dropout": 0.0,
            "attention_layer_norm_with_affine": true, "embedding_dropout": 0.0, "flash_attention": false,
            "init_cutoff_factor": null, "init_device": "cpu", "init_fn": "mitchell", "init_std": 0.02, "mlp_ratio": 4,
            "multi_query_attention": null, "pad_token_id": self.eos_token_id, "precision": "amp_bf16",
            "residual_dropout": 0.0, "torch_dtype": torch_dtype, "use_cache": false,
        });
        keys.extend(inert.as_object().cloned().unwrap_or_default());
        if let Some(Value::Array(mut ends)) = keys.remove("other_eos_token_ids") {
            ends.insert(0, self.eos_token_id.into());
            keys.insert("eos_token_id".to_owned(), ends.into());
        }
        keys
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Number of parameters of a model of this shape; the largest number there is if they are more.
    pub fn parameters(&self) -> usize {
        // Two layers tell for all: a config may claim more of them than could be listed.
        let of_layers = |n_layers| {
            let tensors = names::tensors(&Self { n_layers, ..self.clone() });
            tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
        };
        let (without, one) = (of_layers(0), of_layers(1));
        (one - without).saturating_mul(self.n_layers).saturating_add(without)
    }
}
