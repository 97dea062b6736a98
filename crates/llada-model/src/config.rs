//! `config.json` of LLaDA-8B and LLaDA-1.5: every key is honoured, known to be inert, or refused by name.
//!
//! Source: `configuration_llada.py` of the published checkpoints. A key that changes the function computed and that
//! this crate does not implement is an error, never a silent difference.

use std::{fs, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{ModelError, quantize};

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
    /// Id of the end of the text, which also pads \[126081\].
    pub eos_token_id: u32,
}

/// Keys without effect on what the trained model computes: initialisation, dropout, implementation choices, bookkeeping.
const INERT: &[&str] = &[
    "_name_or_path",
    "alibi_bias_max",
    "architectures",
    "attention_dropout",
    "attention_layer_norm_with_affine",
    "auto_map",
    "bos_token_id",
    "dtype",
    "embedding_dropout",
    "flash_attention",
    "init_cutoff_factor",
    "init_device",
    "init_fn",
    "init_std",
    "pad_token_id",
    "precision",
    "residual_dropout",
    "torch_dtype",
    "transformers_version",
    "use_cache",
];

/// Keys that would change the architecture, with the only value that is LLaDA's.
fn fixed() -> [(&'static str, Value); 12] {
    [
        ("model_type", json!("llada")),
        ("block_type", json!("llama")),
        ("block_group_size", json!(1)),
        ("activation_type", json!("silu")),
        ("layer_norm_type", json!("rms")),
        ("layer_norm_with_affine", json!(true)),
        ("bias_for_layer_norm", json!(false)),
        ("rope", json!(true)),
        ("alibi", json!(false)),
        ("attention_layer_norm", json!(false)),
        ("input_emb_norm", json!(false)),
        ("scale_logits", json!(false)),
    ]
}

impl LladaConfig {
    /// Reads `config.json` in `folder`.
    ///
    /// # Errors
    /// The file cannot be read or parsed, or a key is missing, unknown, refused or impossible.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let keys = serde_json::from_str(&text).map_err(|e| ModelError::file(&path, e))?;
        Self::from_keys(keys)
    }

    /// Checks the keys of a `config.json`.
    ///
    /// # Errors
    /// A key is missing, unknown, refused or impossible; the error names it.
    pub fn from_keys(keys: Map<String, Value>) -> Result<Self, ModelError> {
        let mut keys = Keys(keys);
        let (d_model, n_heads) = (keys.required("d_model")?, keys.required("n_heads")?);
        let multi_query_attention = keys.optional("multi_query_attention", false)?;
        let mlp_ratio: usize = keys.optional("mlp_ratio", 4)?;
        let vocab_size = keys.required("vocab_size")?;
        let config = Self {
            d_model,
            n_heads,
            vocab_size,
            n_layers: keys.required("n_layers")?,
            n_kv_heads: keys.optional("n_kv_heads", if multi_query_attention { 1 } else { n_heads })?,
            mlp_hidden_size: keys.optional("mlp_hidden_size", mlp_ratio.saturating_mul(d_model))?,
            embedding_size: keys.optional("embedding_size", vocab_size)?,
            max_sequence_length: keys.required("max_sequence_length")?,
            rope_theta: keys.optional("rope_theta", 10_000.0)?,
            rope_full_precision: keys.optional("rope_full_precision", true)?,
            rms_norm_eps: keys.optional("rms_norm_eps", 1e-5)?,
            weight_tying: keys.optional("weight_tying", true)?,
            include_bias: keys.optional("include_bias", false)?,
            include_qkv_bias: keys.optional("include_qkv_bias", false)?,
            is_causal: keys.optional("is_causal", false)?,
            is_quantized: keys.quantization()?,
            mask_token_id: keys.required("mask_token_id")?,
            eos_token_id: keys.required("eos_token_id")?,
        };
        if multi_query_attention && config.n_kv_heads != 1 {
            let message = format!("true contradicts n_kv_heads {}", config.n_kv_heads);
            return Err(ModelError::config("multi_query_attention", message));
        }
        keys.finish()?;
        config.check()?;
        Ok(config)
    }

    /// The keys of a `config.json` for weights stored in `torch_dtype`, complete as upstream's readers expect them.
    pub(crate) fn to_keys(&self, torch_dtype: &str) -> Map<String, Value> {
        let mut keys: Map<String, Value> = fixed().map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let Ok(Value::Object(own)) = serde_json::to_value(self) else { return keys };
        keys.extend(own);
        let inert = json!({
            "alibi_bias_max": 8.0, "architectures": ["LLaDAModelLM"], "attention_dropout": 0.0,
            "attention_layer_norm_with_affine": true, "embedding_dropout": 0.0, "flash_attention": false,
            "init_cutoff_factor": null, "init_device": "cpu", "init_fn": "mitchell", "init_std": 0.02, "mlp_ratio": 4,
            "multi_query_attention": null, "pad_token_id": self.eos_token_id, "precision": "amp_bf16",
            "residual_dropout": 0.0, "torch_dtype": torch_dtype, "use_cache": false,
        });
        keys.extend(inert.as_object().cloned().unwrap_or_default());
        keys
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Number of parameters of a model of this shape.
    pub fn parameters(&self) -> usize {
        crate::names::tensors(self).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}

/// The keys of the file that nobody has asked for yet.
struct Keys(Map<String, Value>);

impl Keys {
    fn optional<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Result<T, ModelError> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => {
                let shown = value.to_string();
                serde_json::from_value(value).map_err(|e| ModelError::config(key, format!("{shown}: {e}")))
            }
        }
    }

    fn required<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, ModelError> {
        self.optional(key, None)?.ok_or_else(|| ModelError::config(key, "the key is missing"))
    }

    /// Whether the key of quantisation is there, and says what this crate reads.
    fn quantization(&mut self) -> Result<bool, ModelError> {
        match self.0.remove(quantize::CONFIG_KEY) {
            None | Some(Value::Null) => Ok(false),
            Some(scheme) if scheme == quantize::scheme() => Ok(true),
            Some(scheme) => {
                let message = format!("{scheme} is not the scheme of eight bits that `llada quantize` writes");
                Err(ModelError::config(quantize::CONFIG_KEY, message))
            }
        }
    }

    /// Refuses what is left unless it is known to change nothing.
    fn finish(mut self) -> Result<(), ModelError> {
        for (key, wanted) in fixed() {
            match self.0.remove(key) {
                None | Some(Value::Null) => {}
                Some(value) if value == wanted => {}
                Some(value) => {
                    return Err(ModelError::config(key, format!("{value} is not supported, LLaDA has {wanted}")));
                }
            }
        }
        match self.0.iter().find(|(key, _)| !INERT.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, value)) => {
                let message = format!("unknown key (value {value})\nhint: remove it if it does not change the model");
                Err(ModelError::config(key, message))
            }
        }
    }
}

/// Sizes beyond this are typing errors or attacks; below it no product of two of them overflows.
const LARGEST: usize = 1 << 28;

impl LladaConfig {
    fn check(&self) -> Result<(), ModelError> {
        let sizes = [
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("mlp_hidden_size", self.mlp_hidden_size),
            ("vocab_size", self.vocab_size),
            ("embedding_size", self.embedding_size),
            ("max_sequence_length", self.max_sequence_length),
        ];
        for (key, size) in sizes {
            if size == 0 || size > LARGEST {
                return Err(ModelError::config(key, format!("{size} is not between 1 and {LARGEST}")));
            }
        }
        let divides = |key, whole: usize, name, part: usize| match whole.is_multiple_of(part) {
            true => Ok(()),
            false => Err(ModelError::config(key, format!("{part} does not divide {name} {whole}"))),
        };
        divides("n_heads", self.d_model, "d_model", self.n_heads)?;
        divides("n_kv_heads", self.n_heads, "n_heads", self.n_kv_heads)?;
        if !self.head_dim().is_multiple_of(2) {
            return Err(ModelError::config(
                "n_heads",
                format!("head width {} is odd, rotation needs pairs", self.head_dim()),
            ));
        }
        if self.embedding_size < self.vocab_size {
            let message = format!("{} is less than vocab_size {}", self.embedding_size, self.vocab_size);
            return Err(ModelError::config("embedding_size", message));
        }
        for (key, id) in [("mask_token_id", self.mask_token_id), ("eos_token_id", self.eos_token_id)] {
            if id as usize >= self.vocab_size {
                return Err(ModelError::config(key, format!("{id} is not below vocab_size {}", self.vocab_size)));
            }
        }
        for (key, value) in [("rope_theta", self.rope_theta), ("rms_norm_eps", self.rms_norm_eps)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(ModelError::config(key, format!("{value} is not a positive number")));
            }
        }
        Ok(())
    }
}
