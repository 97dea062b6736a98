//! The description of a mixture of experts: how many experts, which blocks have them, and how the router chooses.

/// The sparse feed-forward layer of some or all blocks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MoeConfig {
    /// Number of routed experts of a layer.
    pub num_experts: usize,
    /// Number of experts that a token goes to.
    pub num_experts_per_tok: usize,
    /// Hidden width of each routed expert's gated MLP.
    pub expert_intermediate_size: usize,
    /// Hidden width of the expert that every token goes to, if there is one.
    pub shared_expert_intermediate_size: Option<usize>,
    /// The blocks that have experts.
    pub layers: MoeLayers,
    /// How the router scores and chooses.
    pub router: Router,
    /// The factor of the loss by which training spreads tokens over experts; none where the family has no such loss.
    pub router_aux_loss_coef: Option<f64>,
}

/// The blocks that have experts instead of a dense MLP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoeLayers {
    /// Those from this block on.
    From(usize),
    /// Block by block.
    Listed(Vec<bool>),
}

impl MoeLayers {
    /// Whether block `layer` has experts.
    pub fn contain(&self, layer: usize) -> bool {
        match self {
            Self::From(first) => layer >= *first,
            Self::Listed(layers) => layers.get(layer).copied().unwrap_or(false),
        }
    }

    /// The number of blocks with experts among the first `blocks`.
    pub fn count(&self, blocks: usize) -> usize {
        match self {
            Self::From(first) => blocks.saturating_sub(*first),
            Self::Listed(layers) => layers.iter().take(blocks).filter(|&&has_experts| has_experts).count(),
        }
    }
}

/// The rule by which a router turns scores into the experts of a token and their weights.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Router {
    /// The function that turns router logits into scores.
    pub scoring: Scoring,
    /// Whether a stored bias is added to the scores before the choice.
    pub has_expert_bias: bool,
    /// Whether the biased score is also the weight of the expert; otherwise the weight is the score without bias.
    pub bias_in_weights: bool,
    /// Number of consecutive groups of experts of which the best are kept, and how many are; none without groups.
    pub groups: Option<(usize, usize)>,
    /// Whether the weights of a token's experts are divided by their sum.
    pub norm_topk_prob: bool,
    /// Factor of the weights.
    pub routed_scaling_factor: f64,
    /// Whether the router's product is computed in f32 whatever the model's dtype.
    pub in_f32: bool,
}

/// A router's scoring function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scoring {
    /// Softmax over all experts.
    Softmax,
    /// The logistic function of each expert's logit.
    Sigmoid,
}
