//! The part that the families with Hugging Face's names share: the keys of a Llama-like configuration class, and the
//! names of its weights.

use serde_json::{Map, Value, json};

use super::Family;
use crate::{
    ModelConfig,
    config::{AttentionPattern, Biases, Keys, LARGEST},
    weights::role::{BlockRole, Projection, Role},
};

/// Reads the sizes and settings that all of these families have. What they have not has the values of a dense model with
/// full attention.
pub(super) fn read(family: Family, keys: &mut Keys) -> ModelConfig {
    let hidden_size = keys.required_size("hidden_size");
    let num_attention_heads = keys.required_size("num_attention_heads");
    let head_dim = keys.size("head_dim");
    if head_dim.is_none() && keys.problems.is_empty() && !hidden_size.is_multiple_of(num_attention_heads) {
        keys.refuse("num_attention_heads", format!("{num_attention_heads} does not divide hidden_size {hidden_size}"));
    }
    let head_dim = head_dim.unwrap_or(hidden_size / num_attention_heads).max(1);
    let vocab_size = keys.required_size("vocab_size");
    let rope_theta = keys.rope_theta();
    ModelConfig {
        family,
        hidden_size,
        num_hidden_layers: keys.required_size("num_hidden_layers"),
        num_attention_heads,
        num_key_value_heads: keys.size("num_key_value_heads").unwrap_or(num_attention_heads),
        head_dim,
        intermediate_size: 1,
        moe: None,
        vocab_size,
        embedding_size: vocab_size,
        padded_vocab_size: vocab_size,
        max_sequence_length: keys.required_size("max_position_embeddings"),
        rope_theta,
        rotary_dim: head_dim,
        rope_full_precision: true,
        rms_norm_eps: keys.required_positive("rms_norm_eps"),
        tie_word_embeddings: keys.flag("tie_word_embeddings").unwrap_or(false),
        biases: Biases::default(),
        qk_norm: false,
        clip_qkv: None,
        attention: AttentionPattern::Full,
        logit_shift: false,
        is_quantized: keys.is_quantized(),
        mask_token_id: 0,
        eos_token_id: 0,
        other_eos_token_ids: Vec::new(),
    }
}

/// Notes the shapes that no model can have.
pub(super) fn check_shape(config: &ModelConfig, keys: &mut Keys) {
    let &ModelConfig { num_attention_heads, num_key_value_heads, head_dim, rotary_dim, .. } = config;
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        let message = format!("{num_key_value_heads} does not divide num_attention_heads {num_attention_heads}");
        keys.refuse("num_key_value_heads", message);
    }
    if rotary_dim == 0 || !rotary_dim.is_multiple_of(2) || rotary_dim > head_dim {
        let message = format!("{rotary_dim} of {head_dim} dimensions of a head cannot be rotated in pairs");
        keys.refuse("partial_rotary_factor", message);
    }
    if num_attention_heads.saturating_mul(head_dim) > LARGEST {
        keys.refuse("head_dim", format!("{head_dim} in {num_attention_heads} heads is more than {LARGEST} in all"));
    }
    if let Some(moe) = &config.moe {
        if moe.shared_expert_intermediate_size.is_some_and(|size| size > LARGEST) {
            keys.refuse("num_shared_experts", format!("their width is more than {LARGEST}"));
        }
        if moe.num_experts_per_tok > moe.num_experts {
            let message = format!("{} is more than num_experts {}", moe.num_experts_per_tok, moe.num_experts);
            keys.refuse("num_experts_per_tok", message);
        }
        if let Some((groups, kept)) = moe.router.groups {
            let in_kept = kept.saturating_mul(moe.num_experts / groups);
            if !moe.num_experts.is_multiple_of(groups) || kept > groups || in_kept < moe.num_experts_per_tok {
                let (experts, chosen) = (moe.num_experts, moe.num_experts_per_tok);
                let message = format!("{chosen} of {experts} experts cannot be in the best {kept} of {groups} groups");
                keys.refuse("topk_group", message);
            }
        }
    }
}

/// The number of leading dimensions of a head that a factor of it rotates.
pub(super) fn rotary_dim(config: &ModelConfig, factor: Option<f64>) -> usize {
    (config.head_dim as f64 * factor.unwrap_or(1.0)) as usize
}

/// The keys that all of these families have.
pub(super) fn keys(config: &ModelConfig) -> Map<String, Value> {
    let mut ends = vec![config.eos_token_id];
    ends.extend(&config.other_eos_token_ids);
    let ends = if ends.len() == 1 { json!(ends[0]) } else { json!(ends) };
    let keys = json!({
        "hidden_size": config.hidden_size, "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads, "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim, "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_sequence_length, "rope_theta": config.rope_theta,
        "rms_norm_eps": config.rms_norm_eps, "tie_word_embeddings": config.tie_word_embeddings,
        "mask_token_id": config.mask_token_id, "eos_token_id": ends,
    });
    keys.as_object().cloned().unwrap_or_default()
}

/// Keys of other families' classes, with the values that are true of these.
pub(super) fn foreign() -> Vec<(&'static str, Value)> {
    vec![("is_encoder_decoder", json!(false)), ("add_cross_attention", json!(false)), ("pruned_heads", json!({}))]
}

/// The name of a Llama-like model's module. Mixtures of experts are those of LLaDA-MoE.
pub(crate) fn module(role: Role) -> String {
    match role {
        Role::Embedding => "model.embed_tokens".to_owned(),
        Role::Head => "lm_head".to_owned(),
        Role::FinalNorm => "model.norm".to_owned(),
        Role::Block(layer, role) => format!("model.layers.{layer}.{}", in_block(role)),
    }
}

fn in_block(role: BlockRole) -> String {
    let name = match role {
        BlockRole::AttentionNorm => "input_layernorm",
        BlockRole::FeedForwardNorm => "post_attention_layernorm",
        BlockRole::Query => "self_attn.q_proj",
        BlockRole::Key => "self_attn.k_proj",
        BlockRole::Value => "self_attn.v_proj",
        BlockRole::AttentionOut => "self_attn.o_proj",
        BlockRole::QueryNorm => "self_attn.q_norm",
        BlockRole::KeyNorm => "self_attn.k_norm",
        BlockRole::Router => "mlp.gate",
        BlockRole::ExpertBias => "mlp",
        BlockRole::Mlp(projection) => return format!("mlp.{}", name_of(projection)),
        BlockRole::Expert(expert, projection) => return format!("mlp.experts.{expert}.{}", name_of(projection)),
        BlockRole::SharedExpert(projection) => return format!("shared_expert.{}", name_of(projection)),
    };
    name.to_owned()
}

/// The name of a gated MLP's projection.
pub(super) fn name_of(projection: Projection) -> &'static str {
    match projection {
        Projection::Gate => "gate_proj",
        Projection::Up => "up_proj",
        Projection::Down => "down_proj",
    }
}
