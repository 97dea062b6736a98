//! The tensors of a LLaDA checkpoint: Hugging Face names and shapes, in the order of the computation.
//!
//! Note the upstream clash: `transformer.ff_out` is the LM head, `blocks.N.ff_out` the MLP's down projection.

use crate::LladaConfig;

/// Prefix of every tensor outside the blocks.
pub(crate) const ROOT: &str = "model.transformer.";

/// Prefix of block `layer`.
pub(crate) fn block(layer: usize) -> String {
    format!("{ROOT}blocks.{layer}.")
}

/// The embedding's tensor.
pub(crate) fn embedding() -> String {
    format!("{ROOT}wte.weight")
}

/// The scales of a linear weight that is stored in eight bits, named as compressed-tensors does.
pub(crate) fn scale(weight: &str) -> String {
    format!("{weight}_scale")
}

/// Every tensor that `config` calls for, with its shape.
pub fn tensors(config: &LladaConfig) -> Vec<(String, Vec<usize>)> {
    let (d, mlp) = (config.d_model, config.mlp_hidden_size);
    let kv = config.n_kv_heads * config.head_dim();
    let bias = config.include_bias;
    let mut list = Vec::new();
    let mut linear = |prefix: &str, name: &str, rows: usize, columns: usize, bias: bool| {
        list.push((format!("{prefix}{name}.weight"), vec![rows, columns]));
        if bias {
            list.push((format!("{prefix}{name}.bias"), vec![rows]));
        }
    };
    linear(ROOT, "wte", config.embedding_size, d, false);
    for layer in 0..config.n_layers {
        let prefix = block(layer);
        for name in ["q_proj", "k_proj", "v_proj"] {
            let rows = if name == "q_proj" { d } else { kv };
            linear(&prefix, name, rows, d, bias || config.include_qkv_bias);
        }
        linear(&prefix, "attn_out", d, d, bias);
        linear(&prefix, "ff_proj", mlp, d, bias);
        linear(&prefix, "up_proj", mlp, d, bias);
        linear(&prefix, "ff_out", d, mlp, bias);
    }
    if !config.weight_tying {
        linear(ROOT, "ff_out", config.embedding_size, d, bias);
    }
    for layer in 0..config.n_layers {
        list.push((format!("{}attn_norm.weight", block(layer)), vec![d]));
        list.push((format!("{}ff_norm.weight", block(layer)), vec![d]));
    }
    list.push((format!("{ROOT}ln_f.weight"), vec![d]));
    list
}
