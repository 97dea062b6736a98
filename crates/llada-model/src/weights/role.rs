//! The weights of a model by their roles, and where each lies in a checkpoint: the tensors that a config calls for.
//!
//! Layers ask for roles; a family's module says under which name, and in which rows of a tensor, a role is stored. So
//! one list of roles serves every family, and fused projections are rows of one tensor.

use std::{collections::BTreeMap, ops::Range};

use crate::ModelConfig;

/// What a weight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The token embedding.
    Embedding,
    /// The LM head, where it is not the embedding.
    Head,
    /// The norm before the head.
    FinalNorm,
    /// A weight of one block.
    Block(usize, BlockRole),
}

/// What a weight of a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Added to the router's scores.
    ExpertBias,
    /// A projection of one routed expert.
    Expert(usize, Projection),
    /// A projection of the expert that every token goes to.
    SharedExpert(Projection),
}

/// The projections of a gated MLP: down( silu(gate h) ⊙ up h ).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    Gate,
    Up,
    Down,
}

impl Projection {
    pub(crate) const ALL: [Self; 3] = [Self::Gate, Self::Up, Self::Down];

    /// (out, in) of a projection between the residual stream and `hidden` units.
    pub(crate) fn shape(self, hidden_size: usize, hidden: usize) -> [usize; 2] {
        match self {
            Self::Gate | Self::Up => [hidden, hidden_size],
            Self::Down => [hidden_size, hidden],
        }
    }
}

/// Where the weight and the bias of a role lie.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// The module's name: the tensors' without `.weight` and `.bias`.
    pub(crate) name: String,
    /// The rows of a fused tensor that are this role's, in order; empty where the tensor is the role's alone.
    pub(crate) rows: Vec<Range<usize>>,
}

impl Module {
    /// A module that is one role's alone.
    pub(crate) fn whole(name: String) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// The full name of the role's weight.
    pub(crate) fn weight(&self, role: Role) -> String {
        let suffix = if matches!(role, Role::Block(_, BlockRole::ExpertBias)) { "expert_bias" } else { "weight" };
        format!("{}.{suffix}", self.name)
    }

    /// The full name of the role's bias.
    pub(crate) fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }
}

/// A role that a model has, with the shape of its weight.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    pub(crate) role: Role,
    pub(crate) shape: Vec<usize>,
    pub(crate) has_bias: bool,
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// The role of its first rows.
    pub(crate) role: Role,
}

impl StoredTensor {
    /// Whether it is the weight of a linear layer that may be quantised. Routers are not: they are small, and choose.
    pub(crate) fn is_linear_weight(&self) -> bool {
        self.shape.len() == 2 && !matches!(self.role, Role::Embedding | Role::Block(_, BlockRole::Router))
    }
}

/// The scales of a linear weight that is stored in eight bits, named as compressed-tensors does.
pub(crate) fn scale(weight: &str) -> String {
    format!("{weight}_scale")
}

/// The roles that `config` calls for, in the order of the computation, norms last.
fn needed(config: &ModelConfig) -> Vec<Needed> {
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

/// The linear layers of a block, and its norms.
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

/// Every tensor of a checkpoint that `config` calls for: those of fused projections once.
pub(crate) fn stored_tensors(config: &ModelConfig) -> Vec<StoredTensor> {
    let architecture = config.family.architecture();
    let mut list: Vec<StoredTensor> = Vec::new();
    // Where the tensors of fused modules stand in the list.
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

/// Every tensor that `config` calls for: its name in the checkpoint and its shape.
pub fn expected_tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    stored_tensors(config).into_iter().map(|tensor| (tensor.name, tensor.shape)).collect()
}

/// The number of tensors of a checkpoint of `config` is at least this; told without listing them.
pub(crate) fn at_least(config: &ModelConfig) -> usize {
    let experts =
        config.moe.as_ref().map_or(0, |moe| moe.num_experts.saturating_mul(moe.layers.count(config.num_hidden_layers)));
    config.num_hidden_layers.max(experts)
}

/// The parameters of the first block of `config`.
pub(crate) fn block_parameters(config: &ModelConfig) -> usize {
    let one_expert = config.moe.as_ref().map(|moe| crate::MoeConfig { num_experts: 1, ..moe.clone() });
    let experts = config.moe.as_ref().map_or(1, |moe| moe.num_experts);
    let (linear, norms) = block(&ModelConfig { moe: one_expert, ..config.clone() }, 0);
    // A router row, a bias and three projections for every expert are those of one, as many times.
    linear.iter().chain(&norms).fold(0, |sum: usize, needed| {
        let Role::Block(_, role) = needed.role else { return sum };
        let times = match role {
            BlockRole::Router | BlockRole::ExpertBias | BlockRole::Expert(..) => experts,
            _ => 1,
        };
        sum.saturating_add(parameters(needed).saturating_mul(times))
    })
}

/// The parameters of `config` that are in no block.
pub(crate) fn parameters_outside(config: &ModelConfig) -> usize {
    let of_ends = embedding(config).into_iter().chain(head(config)).map(|needed| parameters(&needed)).sum::<usize>();
    of_ends + config.hidden_size
}

fn parameters(needed: &Needed) -> usize {
    let bias = if needed.has_bias { needed.shape[0] } else { 0 };
    needed.shape.iter().product::<usize>() + bias
}
