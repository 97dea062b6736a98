//! The roles of a model's weights, and the tensors of a checkpoint that hold them.
//!
//! Layers ask for weights by role. The module of a family (`arch`) maps each role to the name of a tensor, and for
//! fused projections to rows of it. One list of roles thereby serves all families.

use std::{collections::BTreeMap, ops::Range};

use crate::ModelConfig;

/// The role of a weight in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The token embedding.
    Embedding,
    /// The LM head, unless it is tied to the embedding.
    Head,
    /// The norm before the head.
    FinalNorm,
    /// A weight of one block.
    Block(usize, BlockRole),
}

/// The role of a weight in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BlockRole {
    AttentionNorm,
    Query,
    Key,
    Value,
    AttentionOut,
    QueryNorm,
    KeyNorm,
    FeedForwardNorm,
    /// A projection of the dense MLP.
    Mlp(Projection),
    Router,
    /// The bias that is added to the router's scores.
    ExpertBias,
    /// A projection of one routed expert.
    Expert(usize, Projection),
    /// A projection of the expert that every token passes through.
    SharedExpert(Projection),
}

/// The projections of a gated MLP: down( silu(gate h) ⊙ up h ).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Projection {
    Gate,
    Up,
    Down,
}

impl Projection {
    pub(crate) const ALL: [Self; 3] = [Self::Gate, Self::Up, Self::Down];

    /// Returns the shape (out, in) of a projection between the residual stream and `hidden` units.
    pub(crate) fn shape(self, hidden_size: usize, hidden: usize) -> [usize; 2] {
        match self {
            Self::Gate | Self::Up => [hidden, hidden_size],
            Self::Down => [hidden_size, hidden],
        }
    }
}

/// The module of a checkpoint that holds the weight and the bias of a role.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// The name of the module, which is that of its tensors without `.weight` and `.bias`.
    pub(crate) name: String,
    /// The rows of a fused tensor that belong to this role, in order. Empty if the whole tensor does.
    pub(crate) rows: Vec<Range<usize>>,
}

impl Module {
    /// Creates a module that belongs to one role as a whole.
    pub(crate) fn whole(name: String) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// Returns the full name of the weight's tensor.
    pub(crate) fn weight(&self, role: Role) -> String {
        let suffix = if matches!(role, Role::Block(_, BlockRole::ExpertBias)) { "expert_bias" } else { "weight" };
        format!("{}.{suffix}", self.name)
    }

    /// Returns the full name of the bias's tensor.
    pub(crate) fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }
}

/// A role in a particular model, with the shape of its weight.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    pub(crate) role: Role,
    pub(crate) shape: Vec<usize>,
    pub(crate) has_bias: bool,
}

/// A tensor that a checkpoint must hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// The role of the first rows.
    pub(crate) role: Role,
}

impl StoredTensor {
    /// Returns true if the tensor is the weight of a linear layer that may be quantised. Routers may not: they are
    /// small, and rounding errors in them change which experts are chosen.
    pub(crate) fn is_linear_weight(&self) -> bool {
        self.role.is_linear(&self.shape)
    }
}

impl Role {
    /// Returns the index of the shard of a written checkpoint with this role: one shard per block, and a last one for the
    /// rest.
    pub(crate) fn shard(self, layers: usize) -> usize {
        match self {
            Self::Block(layer, _) => layer,
            Self::Embedding | Self::Head | Self::FinalNorm => layers,
        }
    }

    /// Returns where a weight of this role is used in a forward pass: with the embedding, in a block, or after the last one.
    pub(crate) fn stage(self, layers: usize) -> usize {
        match self {
            Self::Embedding => 0,
            Self::Block(layer, _) => layer + 1,
            Self::FinalNorm | Self::Head => layers + 1,
        }
    }

    /// Returns true if a weight of this role and shape is that of a linear layer.
    pub(crate) fn is_linear(self, shape: &[usize]) -> bool {
        shape.len() == 2 && !matches!(self, Self::Embedding | Self::Block(_, BlockRole::Router))
    }
}

/// Returns the name of the scales of a weight in eight bits, as compressed-tensors spells it.
pub(crate) fn scale(weight: &str) -> String {
    format!("{weight}_scale")
}

/// Returns the roles that `config` calls for: linear layers in the order of computation, then norms.
pub(crate) fn needed(config: &ModelConfig) -> Vec<Needed> {
    let (mut list, mut norms) = (embedding(config), Vec::new());
    for layer in 0..config.num_hidden_layers {
        let (linear, of_block) = block(config, layer);
        list.extend(linear);
        norms.extend(of_block);
    }
    list.extend(head(config));
    list.extend(norms);
    list.push(Needed { role: Role::FinalNorm, shape: vec![config.hidden_size], has_bias: false });
    list
}

fn embedding(config: &ModelConfig) -> Vec<Needed> {
    vec![Needed { role: Role::Embedding, shape: vec![config.embedding_size, config.hidden_size], has_bias: false }]
}

fn head(config: &ModelConfig) -> Option<Needed> {
    let shape = vec![config.padded_vocab_size, config.hidden_size];
    let head = Needed { role: Role::Head, shape, has_bias: config.biases.head };
    (!config.tie_word_embeddings).then_some(head)
}

/// Returns the linear layers and the norms of a block.
fn block(config: &ModelConfig, layer: usize) -> (Vec<Needed>, Vec<Needed>) {
    let (d, head_dim) = (config.hidden_size, config.head_dim);
    let (queries, keys) = (config.num_attention_heads * head_dim, config.num_key_value_heads * head_dim);
    let of_block =
        |role, shape: &[usize], has_bias| Needed { role: Role::Block(layer, role), shape: shape.to_vec(), has_bias };
    let mut linear = vec![
        of_block(BlockRole::Query, &[queries, d], config.biases.qkv),
        of_block(BlockRole::Key, &[keys, d], config.biases.qkv),
        of_block(BlockRole::Value, &[keys, d], config.biases.qkv),
        of_block(BlockRole::AttentionOut, &[d, queries], config.biases.attention_out),
    ];
    match config.moe(layer) {
        None => {
            for projection in Projection::ALL {
                let shape = projection.shape(d, config.intermediate_size);
                linear.push(of_block(BlockRole::Mlp(projection), &shape, config.biases.mlp));
            }
        }
        Some(moe) => {
            linear.push(of_block(BlockRole::Router, &[moe.num_experts, d], false));
            for expert in 0..moe.num_experts {
                for projection in Projection::ALL {
                    let shape = projection.shape(d, moe.expert_intermediate_size);
                    linear.push(of_block(BlockRole::Expert(expert, projection), &shape, false));
                }
            }
            if let Some(hidden) = moe.shared_expert_intermediate_size {
                for projection in Projection::ALL {
                    linear.push(of_block(BlockRole::SharedExpert(projection), &projection.shape(d, hidden), false));
                }
            }
        }
    }
    let mut norms =
        vec![of_block(BlockRole::AttentionNorm, &[d], false), of_block(BlockRole::FeedForwardNorm, &[d], false)];
    if config.qk_norm {
        norms.push(of_block(BlockRole::QueryNorm, &[head_dim], false));
        norms.push(of_block(BlockRole::KeyNorm, &[head_dim], false));
    }
    if let Some(moe) = config.moe(layer).filter(|moe| moe.router.has_expert_bias) {
        norms.push(of_block(BlockRole::ExpertBias, &[moe.num_experts], false));
    }
    (linear, norms)
}

/// Returns every tensor that `config` calls for. A fused tensor appears once.
pub(crate) fn stored_tensors(config: &ModelConfig) -> Vec<StoredTensor> {
    let architecture = config.family.architecture();
    let mut list: Vec<StoredTensor> = Vec::new();
    // The indices of fused tensors in the list.
    let mut fused: BTreeMap<String, usize> = BTreeMap::new();
    for Needed { role, shape, has_bias } in needed(config) {
        let module = architecture.module(config, role);
        let mut names = vec![(module.weight(role), false)];
        if has_bias {
            names.push((module.bias(), true));
        }
        for (name, is_bias) in names {
            let mut shape = if is_bias { vec![shape[0]] } else { shape.clone() };
            if let Some(rows) = module.rows.iter().map(|rows| rows.end).max() {
                if let Some(&index) = fused.get(&name) {
                    list[index].shape[0] = rows.max(list[index].shape[0]);
                    continue;
                }
                fused.insert(name.clone(), list.len());
                shape[0] = rows;
            }
            list.push(StoredTensor { name, shape, role });
        }
    }
    list
}

/// Returns the name and the shape of every tensor that a checkpoint of `config` holds.
pub fn expected_tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    stored_tensors(config).into_iter().map(|tensor| (tensor.name, tensor.shape)).collect()
}

/// Returns a lower bound of the number of tensors of a checkpoint of `config`, without listing them.
pub(crate) fn at_least(config: &ModelConfig) -> usize {
    let experts =
        config.moe.as_ref().map_or(0, |moe| moe.num_experts.saturating_mul(moe.layers.count(config.num_hidden_layers)));
    config.num_hidden_layers.max(experts)
}

/// Returns the number of parameters of the first block of `config`.
pub(crate) fn block_parameters(config: &ModelConfig) -> usize {
    let one_expert = config.moe.as_ref().map(|moe| crate::MoeConfig { num_experts: 1, ..moe.clone() });
    let experts = config.moe.as_ref().map_or(1, |moe| moe.num_experts);
    let (linear, norms) = block(&ModelConfig { moe: one_expert, ..config.clone() }, 0);
    // All experts are alike, so those of one are counted and multiplied, which is cheap for any number in a config.
    linear.iter().chain(&norms).fold(0, |sum: usize, needed| {
        let Role::Block(_, role) = needed.role else { return sum };
        let times = match role {
            BlockRole::Router | BlockRole::ExpertBias | BlockRole::Expert(..) => experts,
            _ => 1,
        };
        sum.saturating_add(parameters(needed).saturating_mul(times))
    })
}

/// Returns the number of parameters of `config` outside of the blocks.
pub(crate) fn parameters_outside(config: &ModelConfig) -> usize {
    let of_ends = embedding(config).into_iter().chain(head(config)).map(|needed| parameters(&needed)).sum::<usize>();
    of_ends + config.hidden_size
}

fn parameters(needed: &Needed) -> usize {
    let bias = if needed.has_bias { needed.shape[0] } else { 0 };
    needed.shape.iter().product::<usize>() + bias
}
