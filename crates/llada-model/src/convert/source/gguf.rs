//! A GGUF file: llama.cpp's keys and names, and the order of rows that its converter gives to Llama's queries and keys.
//!
//! Source: `docs/gguf.md` of ggml; `constants.py` and `tensor_mapping.py` of gguf-py; `LlamaModel.permute` of llama.cpp's
//! `convert_hf_to_gguf.py`.

use std::{collections::BTreeSet, path::Path};

use llada_gguf::{Gguf, GgufError};
use serde_json::{Map, Value, json};

use super::{Part, Source, check_layers};
use crate::{
    ModelError,
    arch::autoregressive::{Autoregressive, AutoregressiveConfig},
    config::Keys,
    convert::{
        Conversion, family,
        text::{TextSide, gguf},
    },
    weights::role::{BlockRole, Projection, Role},
};

const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// Keys behind the name of the architecture, each with the key of `config.json` that it is.
const SIZES: [(&str, &str); 6] = [
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("feed_forward_length", "intermediate_size"),
    ("context_length", "max_position_embeddings"),
];
const EPS: &str = "attention.layer_norm_rms_epsilon";
const THETA: &str = "rope.freq_base";
const HEAD_DIM: &str = "attention.key_length";

pub(in crate::convert) struct GgufModel {
    file: Gguf,
    architecture: Autoregressive,
    config: AutoregressiveConfig,
    /// The names of the tensors that have not been asked for.
    left: BTreeSet<String>,
}

impl GgufModel {
    pub(super) fn open(path: &Path, conversion: &Conversion) -> Result<Self, ModelError> {
        let file = Gguf::open(path)?;
        let name = file.text("general.architecture")?.unwrap_or("not named");
        let architecture = Autoregressive::ALL.into_iter().find(|known| known.name() == name);
        let architecture = architecture.ok_or_else(|| Autoregressive::unknown(name))?;
        let family = family::of(architecture, conversion)?;
        let mut keys = Keys::new(keys(&file, architecture)?, None);
        let config = architecture.read(family, &mut keys);
        let mut config = match (config, keys.problems.into_iter().next()) {
            (Some(config), None) => config,
            (_, Some(ModelError::Config { key, message, .. })) => {
                return Err(file.key_error(&own_key(architecture, &key), message).into());
            }
            _ => return Err(file.key_error("general.architecture", "the shape cannot be told").into()),
        };
        let ends = ["tokenizer.ggml.eot_token_id"].map(|key| file.unsigned(key));
        for end in ends {
            config.add_ends(end?.and_then(|end| u32::try_from(end).ok()));
        }
        check_layers(&config, file.tensors().count())?;
        let left = file.tensors().map(|(name, _)| name.to_owned()).collect();
        Ok(Self { file, architecture, config, left })
    }
}

/// Returns the file's name of a key of `config.json`.
fn own_key(architecture: Autoregressive, key: &str) -> String {
    let others = [(EPS, "rms_norm_eps"), (THETA, "rope_theta"), (HEAD_DIM, "head_dim")];
    let own = SIZES.iter().chain(&others).find(|(_, name)| *name == key);
    own.map_or_else(|| key.to_owned(), |(own, _)| format!("{}.{own}", architecture.name()))
}

/// Returns what the file says as the keys of a `config.json`.
fn keys(file: &Gguf, architecture: Autoregressive) -> Result<Map<String, Value>, GgufError> {
    let key = |name: &str| format!("{}.{name}", architecture.name());
    let mut keys = Map::new();
    for (own, name) in SIZES {
        if let Some(size) = file.unsigned(&key(own))? {
            keys.insert(name.to_owned(), size.into());
        }
    }
    for (own, name) in [(EPS, "rms_norm_eps"), (THETA, "rope_theta")] {
        if let Some(number) = file.float(&key(own))? {
            keys.insert(name.to_owned(), shortest(number));
        }
    }
    // llama.cpp's base where the file has none.
    keys.entry("rope_theta").or_insert_with(|| json!(10_000.0));
    let rotated = file.unsigned(&key("rope.dimension_count"))?;
    let head_dim = match file.unsigned(&key(HEAD_DIM))? {
        Some(head_dim) => Some(head_dim),
        None => {
            let sizes = (keys.get("hidden_size"), keys.get("num_attention_heads"));
            let sizes = (sizes.0.and_then(Value::as_u64), sizes.1.and_then(Value::as_u64));
            sizes.0.zip(sizes.1).and_then(|(width, heads)| width.checked_div(heads))
        }
    };
    refuse(file, &key("rope.dimension_count"), rotated.filter(|rotated| Some(*rotated) != head_dim))?;
    let value_length = file.unsigned(&key("attention.value_length"))?;
    refuse(file, &key("attention.value_length"), value_length.filter(|length| Some(*length) != head_dim))?;
    for name in ["expert_count", "attention.sliding_window"] {
        refuse(file, &key(name), file.unsigned(&key(name))?.filter(|number| *number > 0))?;
    }
    let scaling = file.text(&key("rope.scaling.type"))?;
    refuse(file, &key("rope.scaling.type"), scaling.filter(|scaling| *scaling != "none"))?;
    keys.extend(head_dim.map(|head_dim| ("head_dim".to_owned(), head_dim.into())));
    if let Some(embedding) = file.tensor(EMBEDDING) {
        keys.insert("vocab_size".to_owned(), json!(embedding.shape.first()));
    }
    for (own, name) in [("eos", "eos_token_id"), ("bos", "bos_token_id")] {
        let id = file.unsigned(&format!("tokenizer.ggml.{own}_token_id"))?;
        keys.extend(id.map(|id| (name.to_owned(), id.into())));
    }
    keys.insert("tie_word_embeddings".to_owned(), json!(file.tensor(HEAD).is_none()));
    let has = |name: &str| file.tensor(name).is_some();
    let biases = match architecture {
        Autoregressive::Llama => {
            vec![("attention_bias", has("blk.0.attn_q.bias")), ("mlp_bias", has("blk.0.ffn_up.bias"))]
        }
        Autoregressive::Qwen2 => Vec::new(),
        Autoregressive::Qwen3 => vec![("attention_bias", has("blk.0.attn_q.bias"))],
    };
    keys.extend(biases.into_iter().map(|(key, has_bias)| (key.to_owned(), has_bias.into())));
    Ok(keys)
}

/// Refuses what a key says, if there is something.
fn refuse(file: &Gguf, key: &str, found: Option<impl std::fmt::Display>) -> Result<(), GgufError> {
    found.map_or(Ok(()), |found| Err(file.key_error(key, format!("{found} is not supported"))))
}

/// Returns the number that was written as a float of 32 bits, which has no more digits than it needs.
fn shortest(number: f64) -> Value {
    (number as f32).to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// Returns the file's name of a module.
fn module(role: Role) -> String {
    match role {
        Role::Embedding => "token_embd".to_owned(),
        Role::Head => "output".to_owned(),
        Role::FinalNorm => "output_norm".to_owned(),
        Role::Block(layer, role) => {
            let name = match role {
                BlockRole::AttentionNorm => "attn_norm",
                BlockRole::Query => "attn_q",
                BlockRole::Key => "attn_k",
                BlockRole::Value => "attn_v",
                BlockRole::AttentionOut => "attn_output",
                BlockRole::QueryNorm => "attn_q_norm",
                BlockRole::KeyNorm => "attn_k_norm",
                BlockRole::FeedForwardNorm => "ffn_norm",
                BlockRole::Mlp(Projection::Gate) => "ffn_gate",
                BlockRole::Mlp(Projection::Up) => "ffn_up",
                BlockRole::Mlp(Projection::Down) => "ffn_down",
                BlockRole::Router | BlockRole::ExpertBias | BlockRole::Expert(..) | BlockRole::SharedExpert(_) => {
                    unreachable!("dense models call for no such weight")
                }
            };
            format!("blk.{layer}.{name}")
        }
    }
}

impl Source for GgufModel {
    fn config(&self) -> &AutoregressiveConfig {
        &self.config
    }

    fn values(&mut self, role: Role, part: Part, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let name = format!("{}.{}", module(role), part.name());
        if let Some(info) = self.file.tensor(&name).filter(|info| info.shape != shape) {
            let (file, expected, found) = (self.file.path().to_owned(), shape.to_vec(), info.shape.clone());
            return Err(ModelError::Shape { name, file, expected, found });
        }
        let values = self.file.read(&name)?;
        self.left.remove(&name);
        let heads = match role {
            _ if self.architecture != Autoregressive::Llama => None,
            Role::Block(_, BlockRole::Query) => Some(self.config.shape.num_attention_heads),
            Role::Block(_, BlockRole::Key) => Some(self.config.shape.num_key_value_heads),
            _ => None,
        };
        Ok(match heads {
            Some(heads) => by_halves(&values, heads, shape[0]),
            None => values,
        })
    }

    fn finish(&self) -> Result<(), ModelError> {
        match self.left.first() {
            None => Ok(()),
            Some(name) => Err(ModelError::UnexpectedTensor {
                name: name.clone(),
                file: self.file.path().to_owned(),
                others: self.left.len() - 1,
            }),
        }
    }

    fn text_side(&self) -> Result<TextSide, ModelError> {
        gguf::text_side(&self.file)
    }
}

/// Returns rows in the order of Hugging Face's classes, which rotate dimension i of a head with dimension
/// i + head_dim / 2. llama.cpp rotates neighbours, so its converter has put the two halves of a head in turns.
///
/// # Shapes
/// values (rows x columns) -> the same; rows is heads x head_dim.
fn by_halves(values: &[f32], heads: usize, rows: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    let pairs = rows / heads / 2;
    let mut sorted = Vec::with_capacity(values.len());
    for head in 0..heads {
        for half in 0..2 {
            for pair in 0..pairs {
                let row = 2 * (head * pairs + pair) + half;
                sorted.extend_from_slice(&values[row * columns..(row + 1) * columns]);
            }
        }
    }
    sorted
}
