//! The family that a converted model belongs to: the one whose published code computes what is asked for.

use llada_core::Hint;

use super::Conversion;
use crate::{
    AttentionPattern, Family, ModelConfig, ModelError, MoeConfig, MoeLayers, Router, Scoring,
    arch::autoregressive::Autoregressive, config::Biases,
};

/// Returns the family that takes the weights of `architecture`.
///
/// Dream shifts its logits, LLaDA2 attends from block to block; of the others, LLaDA-MoE norms queries and keys, and
/// iLLaDA does not.
pub(super) fn of(architecture: Autoregressive, conversion: &Conversion) -> Result<Family, ModelError> {
    let Conversion { logit_shift, block_causal, .. } = *conversion;
    let refuse = |message: &str| {
        let hint = Some(Hint::Advice("leave out the shift of logits".to_owned()));
        Err(ModelError::Conversion { message: format!("{message}: no family that is read has them"), hint })
    };
    match (logit_shift, block_causal, architecture.has_qk_norm()) {
        (true, true, _) => refuse("shifted logits under block-causal attention"),
        (true, false, true) => refuse("shifted logits where queries and keys have norms, as in Qwen3"),
        (true, false, false) => Ok(Family::Dream),
        (false, true, _) => Ok(Family::Llada2),
        (false, false, true) => Ok(Family::LladaMoe),
        (false, false, false) => Ok(Family::Illada),
    }
}

/// Returns the config of the mask predictor of `source`'s shape, in its family.
///
/// Where the family has more biases than the source, they are there: zeros change nothing.
pub(super) fn config(source: &ModelConfig) -> Result<ModelConfig, ModelError> {
    let mut config = ModelConfig { attention: AttentionPattern::Full, ..source.clone() };
    let Biases { qkv, attention_out, mlp, .. } = source.biases;
    let with_attention = Biases { qkv: qkv || attention_out, attention_out: qkv || attention_out, ..source.biases };
    let takes_mlp_bias = match source.family {
        Family::Dream => {
            config.logit_shift = true;
            config.biases.qkv = true;
            if attention_out {
                return Err(without(source, "attention_bias"));
            }
            false
        }
        Family::Llada2 => {
            config.attention = AttentionPattern::BlockCausal { block_length: 32 };
            config.moe = Some(without_experts(MoeLayers::From(source.num_hidden_layers), Scoring::Sigmoid));
            false
        }
        Family::LladaMoe => {
            config.biases = with_attention;
            let layers = MoeLayers::Listed(vec![false; source.num_hidden_layers]);
            config.moe = Some(without_experts(layers, Scoring::Softmax));
            false
        }
        _ => {
            config.biases = with_attention;
            true
        }
    };
    if mlp && !takes_mlp_bias {
        return Err(without(source, "mlp_bias"));
    }
    Ok(config)
}

fn without(source: &ModelConfig, key: &str) -> ModelError {
    ModelError::config(key, format!("true is not supported, {} has no such biases", source.family))
}

/// The experts of a model whose layers are all dense: their numbers are those of the smallest mixture that there is.
fn without_experts(layers: MoeLayers, scoring: Scoring) -> MoeConfig {
    MoeConfig {
        num_experts: 1,
        num_experts_per_tok: 1,
        expert_intermediate_size: 1,
        shared_expert_intermediate_size: None,
        layers,
        router: Router {
            scoring,
            has_expert_bias: false,
            bias_in_weights: scoring == Scoring::Softmax,
            groups: None,
            norm_topk_prob: scoring == Scoring::Sigmoid,
            routed_scaling_factor: 1.0,
            in_f32: scoring == Scoring::Sigmoid,
        },
        router_aux_loss_coef: None,
    }
}
