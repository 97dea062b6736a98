//! The small models of `golden.py`: a weight is a function of its tensor's name and its index.

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

pub(super) const VOCABULARY: usize = 40;
pub(super) const WIDTH: usize = 32;
pub(super) const HIDDEN: usize = 256;
pub(super) const LAYERS: usize = 2;
pub(super) const HEADS: usize = 4;
pub(super) const KV_HEADS: usize = 2;

/// A model of `golden.py`.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// `model_type`, and llama.cpp's name of the architecture.
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    pub(super) head_dim: usize,
    pub(super) tied: bool,
    pub(super) theta: f64,
}

pub(super) const SAMPLES: [Sample; 3] = [
    Sample { name: "llama", class: "LlamaForCausalLM", head_dim: 8, tied: true, theta: 10_000.0 },
    Sample { name: "qwen2", class: "Qwen2ForCausalLM", head_dim: 8, tied: false, theta: 50_000.0 },
    Sample { name: "qwen3", class: "Qwen3ForCausalLM", head_dim: 16, tied: true, theta: 50_000.0 },
];

/// A tensor of a sample, by Hugging Face's name.
#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// The first values of the tensor `name`: splitmix64 of the FNV-1a hash of the name.
pub(super) fn values(name: &str, count: usize) -> Vec<f32> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash);
    let middle = if name.contains("norm") { 1.0 } else { 0.0 };
    let value = |index: u64| {
        let z = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ z >> 31;
        middle + ((z >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.5
    };
    (0..count as u64).map(value).collect()
}

impl Sample {
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let (queries, keys) = (HEADS * self.head_dim, KV_HEADS * self.head_dim);
        let mut list = Vec::new();
        let mut add = |name: String, shape: &[usize]| {
            let values = values(&name, shape.iter().product());
            list.push(Tensor { name, shape: shape.to_vec(), values });
        };
        for layer in 0..LAYERS {
            let mut in_layer = |name: &str, shape: &[usize]| add(format!("model.layers.{layer}.{name}"), shape);
            for (name, rows) in [("q", queries), ("k", keys), ("v", keys)] {
                in_layer(&format!("self_attn.{name}_proj.weight"), &[rows, WIDTH]);
                if self.name == "qwen2" {
                    in_layer(&format!("self_attn.{name}_proj.bias"), &[rows]);
                }
            }
            if self.name == "qwen3" {
                in_layer("self_attn.q_norm.weight", &[self.head_dim]);
                in_layer("self_attn.k_norm.weight", &[self.head_dim]);
            }
            in_layer("self_attn.o_proj.weight", &[WIDTH, queries]);
            in_layer("mlp.gate_proj.weight", &[HIDDEN, WIDTH]);
            in_layer("mlp.up_proj.weight", &[HIDDEN, WIDTH]);
            in_layer("mlp.down_proj.weight", &[WIDTH, HIDDEN]);
            in_layer("input_layernorm.weight", &[WIDTH]);
            in_layer("post_attention_layernorm.weight", &[WIDTH]);
        }
        add("model.embed_tokens.weight".to_owned(), &[VOCABULARY, WIDTH]);
        add("model.norm.weight".to_owned(), &[WIDTH]);
        if !self.tied {
            add("lm_head.weight".to_owned(), &[VOCABULARY, WIDTH]);
        }
        list
    }

    pub(super) fn config(&self) -> Value {
        json!({
            "architectures": [self.class], "model_type": self.name, "vocab_size": VOCABULARY, "hidden_size": WIDTH,
            "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "head_dim": self.head_dim, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-6, "rope_theta": self.theta, "tie_word_embeddings": self.tied, "hidden_act": "silu",
            "bos_token_id": 1, "eos_token_id": 2, "use_cache": true, "torch_dtype": "float32",
        })
    }

    pub(super) fn write_config(&self, folder: &Path) {
        std::fs::write(folder.join("config.json"), self.config().to_string()).unwrap();
    }

    /// Writes the model in two shards.
    pub(super) fn write_folder(&self, folder: &Path) {
        self.write_config(folder);
        let tensors = self.tensors();
        let mut weight_map = serde_json::Map::new();
        for (index, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
            let file = format!("model-0000{}-of-00002.safetensors", index + 1);
            weight_map.extend(part.iter().map(|tensor| (tensor.name.clone(), json!(file))));
            write(&folder.join(file), part, Dtype::F32, |value| value.to_le_bytes().to_vec());
        }
        let index = json!({ "metadata": {}, "weight_map": weight_map });
        std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

pub(super) fn write(path: &Path, tensors: &[Tensor], dtype: Dtype, bytes: impl Fn(f32) -> Vec<u8>) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|tensor| tensor.values.iter().flat_map(|value| bytes(*value)).collect()).collect();
    let views = tensors.iter().zip(&bytes);
    let views =
        views.map(|(tensor, bytes)| (&tensor.name, TensorView::new(dtype, tensor.shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}
