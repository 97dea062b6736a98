//! The counts of a model that a plan of its training is computed from ([`llada_core::plan`]).

use llada_core::plan::{Frozen, ModelShape};

use super::{ModelConfig, MoeConfig};
use crate::{
    Precision,
    adapter::targets::is_linear_of_block,
    weights::role::{BlockRole, Role, block_parameters, parameters_outside, stored_tensors},
};

impl ModelConfig {
    /// The counts that decide what training takes.
    pub fn plan_shape(&self) -> ModelShape {
        let (queries, keys) = (self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim);
        let chosen = self.moe.as_ref().map(|moe| MoeConfig { num_experts: moe.num_experts_per_tok, ..moe.clone() });
        let active = Self { moe: chosen, ..self.clone() }.parameters();
        // A tied embedding is the head's matrix too.
        let looked_up = if self.tie_word_embeddings { 0 } else { self.embedding_size * self.hidden_size };
        let normed = if self.qk_norm { queries + keys } else { 0 };
        let attention = 4 * self.hidden_size + 2 * queries + 2 * keys + normed;
        ModelShape {
            parameters: self.parameters(),
            active_parameters: active.saturating_sub(looked_up),
            block_parameters: self.largest_block(),
            outer_parameters: parameters_outside(self),
            head_parameters: self.padded_vocab_size * self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            hidden_size: self.hidden_size,
            query_size: queries,
            saved_per_token: attention.saturating_add(self.saved_by_mlp()),
        }
    }

    /// Number of parameters of an adapter of rank `r` on all linear layers of the blocks; the largest number there is if
    /// they are more.
    pub fn adapter_parameters(&self, r: usize) -> usize {
        self.sum_of_blocks(rank_one_adapters).saturating_mul(r)
    }

    /// Bytes of the weights in `precision`, in which an adapter's base is frozen.
    pub fn frozen(&self, precision: Precision) -> Frozen {
        let bytes = self.weight_bytes(precision) as f64;
        let outer_bytes = Self { num_hidden_layers: 0, ..self.clone() }.weight_bytes(precision) as f64;
        let of_blocks = self.parameters().saturating_sub(parameters_outside(self)).max(1);
        let block_bytes = (bytes - outer_bytes) * (self.largest_block() as f64 / of_blocks as f64);
        Frozen { bytes, block_bytes, outer_bytes }
    }

    /// Number of parameters of the largest block.
    fn largest_block(&self) -> usize {
        self.kinds_of_blocks().iter().map(|(kind, _)| block_parameters(kind)).max().unwrap_or(0)
    }

    /// The numbers that the feed-forward layer of a block keeps of a token: the two projections and their product. Experts
    /// keep those of each that the token goes to, its input, and in f32, which counts as two numbers, its output.
    fn saved_by_mlp(&self) -> usize {
        let of_mlp = |hidden: usize| 3 * hidden;
        match &self.moe {
            None => of_mlp(self.intermediate_size),
            Some(moe) => {
                let expert = 3 * self.hidden_size + of_mlp(moe.expert_intermediate_size);
                let shared = moe.shared_expert_intermediate_size.map_or(0, of_mlp);
                moe.num_experts_per_tok.saturating_mul(expert).saturating_add(shared)
            }
        }
    }
}

/// Number of parameters of adapters of rank 1 of all linear layers of the first block.
fn rank_one_adapters(config: &ModelConfig) -> usize {
    let experts = config.moe.as_ref().map_or(1, |moe| moe.num_experts);
    // All experts are alike, so those of one are counted and multiplied.
    let moe = config.moe.as_ref().map(|moe| MoeConfig { num_experts: 1, ..moe.clone() });
    let first = ModelConfig { num_hidden_layers: 1, moe, ..config.clone() };
    let linear = stored_tensors(&first).into_iter().filter(is_linear_of_block);
    linear.fold(0, |sum: usize, tensor| {
        let times = if matches!(tensor.role, Role::Block(_, BlockRole::Expert(..))) { experts } else { 1 };
        sum.saturating_add(tensor.shape.iter().sum::<usize>().saturating_mul(times))
    })
}
