//! A mixture of gated MLPs, as LLaDA-MoE and LLaDA2 have it: a router sends each token to a few experts and weighs what
//! they return.

use tch::{Kind, Tensor};

use super::{mlp::Mlp, packing::rounded};
use crate::{
    ModelError, MoeConfig, Scoring,
    torch::shim::{Epilogue, Part},
    weights::{
        role::{BlockRole, Role},
        source::WeightSource,
    },
};

/// The mixture of experts of one block.
#[derive(Debug)]
pub(crate) struct Moe {
    config: MoeConfig,
    /// (experts, d).
    router: Tensor,
    /// (experts), added to the scores before the choice.
    expert_bias: Option<Tensor>,
    experts: Vec<Mlp>,
    shared_expert: Option<Mlp>,
}

/// The experts of each token and their weights.
pub(crate) struct Routing {
    /// (tokens, experts per token) i64, the best first.
    pub(crate) experts: Tensor,
    /// (tokens, experts per token) f32.
    pub(crate) weights: Tensor,
}

/// How a router spreads tokens over its experts.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) tokens: i64,
    /// (experts) f32, without a gradient: the number of tokens that choose each expert.
    pub(crate) chosen: Tensor,
    /// (experts) f32: the sum over tokens of each expert's probability.
    pub(crate) probability: Tensor,
}

impl Moe {
    /// The mixture of block `layer` over the weights of `source`.
    pub(crate) fn new(source: &mut impl WeightSource, layer: usize, config: MoeConfig) -> Result<Self, ModelError> {
        let hidden_size = source.config().hidden_size;
        let router = source.tensor(Role::Block(layer, BlockRole::Router), &[config.num_experts, hidden_size])?;
        let expert_bias = if config.router.has_expert_bias {
            Some(source.tensor(Role::Block(layer, BlockRole::ExpertBias), &[config.num_experts])?)
        } else {
            None
        };
        let mut experts = Vec::with_capacity(config.num_experts);
        for expert in 0..config.num_experts {
            let role = |projection| BlockRole::Expert(expert, projection);
            experts.push(Mlp::new(source, layer, role, config.expert_intermediate_size, false)?);
        }
        let shared_expert = match config.shared_expert_intermediate_size {
            Some(hidden) => Some(Mlp::new(source, layer, BlockRole::SharedExpert, hidden, false)?),
            None => None,
        };
        Ok(Self { config, router, expert_bias, experts, shared_expert })
    }

    /// The weighted sum of the experts' outputs for `hidden`, and the epilogue after it.
    ///
    /// # Shapes
    /// hidden (tokens, d), the epilogue's operand (tokens, d) -> (tokens, d).
    pub(crate) fn forward(&self, hidden: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        let routing = self.route(hidden)?;
        let dispatch = Dispatch::new(&routing, self.experts.len())?;
        let device = hidden.device();
        // The tokens of each expert together.
        let sorted = hidden.f_index_select(0, &Tensor::f_from_slice(&dispatch.tokens)?.f_to_device(device)?)?;
        let outputs = self.experts(&sorted, &dispatch.rows)?;
        let (tokens, width) = hidden.size2()?;
        let by_choice = Tensor::f_from_slice(&dispatch.place_of_choice)?.f_to_device(device)?;
        let outputs = outputs.f_index_select(0, &by_choice)?.f_to_kind(Kind::Float)?;
        let sum =
            routing.weights.f_unsqueeze(1)?.f_bmm(&outputs.f_view([tokens, -1, width])?)?.f_view([tokens, width])?;
        let mut y = sum.f_to_kind(hidden.kind())?;
        if let Some(shared) = &self.shared_expert {
            y = shared.forward(hidden, Epilogue::Add(&y))?;
        }
        match epilogue {
            Epilogue::None => Ok(y),
            Epilogue::Add(other) => Ok(y.f_add(other)?),
            Epilogue::Mul(other) => Ok(y.f_mul(other)?),
            Epilogue::Silu => Ok(y.f_silu()?),
        }
    }

    /// What the experts make of their tokens, which follow one another in the order of the experts. Nothing is done for
    /// an expert without tokens.
    ///
    /// # Shapes
    /// sorted (choices, d) -> (choices, d).
    fn experts(&self, sorted: &Tensor, rows: &[usize]) -> Result<Tensor, ModelError> {
        let chosen = self.experts.iter().zip(rows).filter(|&(_, &rows)| rows > 0);
        let parts: Vec<_> = chosen.map(|(through, &rows)| Part { through, rows }).collect();
        if let Some(outputs) = Mlp::forward_parts(&parts, sorted)? {
            return Ok(outputs);
        }
        let (mut outputs, mut start) = (Vec::with_capacity(parts.len()), 0);
        for Part { through, rows } in parts {
            let rows = rows as i64;
            let input = rounded_up(&sorted.f_narrow(0, start, rows)?)?;
            outputs.push(through.forward(&input, Epilogue::None)?.f_narrow(0, 0, rows)?);
            start += rows;
        }
        Ok(Tensor::f_cat(&outputs, 0)?)
    }

    /// The experts of each token: scores, a bias that moves the choice, the best groups, the best experts of these.
    ///
    /// # Shapes
    /// hidden (tokens, d).
    pub(crate) fn route(&self, hidden: &Tensor) -> Result<Routing, ModelError> {
        let rule = &self.config.router;
        let logits = self.logits(hidden)?;
        let scores = match rule.scoring {
            Scoring::Softmax => logits.f_softmax(-1, Kind::Float)?,
            Scoring::Sigmoid => logits.f_sigmoid()?,
        };
        let biased = match &self.expert_bias {
            Some(bias) => scores.f_add(&bias.f_to_kind(Kind::Float)?)?,
            None => scores.shallow_clone(),
        };
        let choosable = match rule.groups {
            Some((groups, kept)) => within_best_groups(&biased, groups as i64, kept as i64)?,
            None => biased.shallow_clone(),
        };
        let per_token = self.config.num_experts_per_tok as i64;
        let experts = choosable.f_topk(per_token, -1, true, true)?.1;
        let mut weights = if rule.bias_in_weights { biased } else { scores }.f_gather(1, &experts, false)?;
        if rule.norm_topk_prob && per_token > 1 {
            let sum = weights.f_sum_dim_intlist(-1, true, Kind::Float)?.f_add_scalar(1e-20)?;
            weights = weights.f_div(&sum)?;
        }
        Ok(Routing { experts, weights: weights.f_mul_scalar(rule.routed_scaling_factor)? })
    }

    /// # Shapes
    /// hidden (tokens, d) -> (tokens, experts) f32.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        if self.config.router.in_f32 {
            let router = self.router.f_to_kind(Kind::Float)?;
            return Ok(hidden.f_to_kind(Kind::Float)?.f_linear(&router, None::<&Tensor>)?);
        }
        Ok(hidden.f_linear(&self.router, None::<&Tensor>)?.f_to_kind(Kind::Float)?)
    }

    /// Whether training has a loss of how the router spreads tokens.
    pub(crate) fn is_balanced(&self) -> bool {
        self.config.router_aux_loss_coef.is_some()
    }

    /// How the router spreads tokens. As published, what counts is the softmax of the logits and its best experts, whatever
    /// else moves the choice.
    ///
    /// # Shapes
    /// hidden (tokens, d).
    pub(crate) fn load(&self, hidden: &Tensor) -> Result<Load, ModelError> {
        let probability = self.logits(hidden)?.f_softmax(-1, Kind::Float)?;
        let best = probability.f_detach()?.f_topk(self.config.num_experts_per_tok as i64, -1, true, false)?.1;
        let chosen = best.f_reshape([-1])?.f_bincount(None::<&Tensor>, self.config.num_experts as i64)?;
        Ok(Load {
            tokens: hidden.size2()?.0,
            chosen: chosen.f_to_kind(Kind::Float)?,
            probability: probability.f_sum_dim_intlist(0, false, Kind::Float)?,
        })
    }
}

/// The order in which tokens go through the experts: those of the first expert, then those of the second, and so on.
struct Dispatch {
    /// The token at each place.
    tokens: Vec<i64>,
    /// The number of tokens of each expert.
    rows: Vec<usize>,
    /// The place of each choice, (tokens, experts per token) row-major.
    place_of_choice: Vec<i64>,
}

impl Dispatch {
    fn new(routing: &Routing, experts: usize) -> Result<Self, ModelError> {
        let per_token = routing.experts.size2()?.1 as usize;
        let chosen: Vec<i64> = Vec::try_from(routing.experts.f_reshape([-1])?)?;
        let mut rows = vec![0; experts];
        for &expert in &chosen {
            rows[expert as usize] += 1;
        }
        // The place at which the next token of each expert goes.
        let mut next: Vec<usize> = Vec::with_capacity(experts);
        for expert in 0..experts {
            next.push(if expert == 0 { 0 } else { next[expert - 1] + rows[expert - 1] });
        }
        let (mut tokens, mut place_of_choice) = (vec![0; chosen.len()], Vec::with_capacity(chosen.len()));
        for (choice, &expert) in chosen.iter().enumerate() {
            let place = &mut next[expert as usize];
            tokens[*place] = (choice / per_token) as i64;
            place_of_choice.push(*place as i64);
            *place += 1;
        }
        Ok(Self { tokens, rows, place_of_choice })
    }
}

/// The rows, and zeros up to a multiple of that for which oneDNN has a kernel already.
fn rounded_up(rows: &Tensor) -> Result<Tensor, ModelError> {
    let missing = rounded(rows.size2()?.0 as usize) as i64 - rows.size2()?.0;
    Ok(rows.f_constant_pad_nd([0, 0, 0, missing])?)
}

/// The scores of the experts in the `kept` best of `groups` consecutive groups; the others are −∞. A group is as good as
/// its two best experts together.
///
/// # Shapes
/// scores (tokens, experts) -> the same.
fn within_best_groups(scores: &Tensor, groups: i64, kept: i64) -> Result<Tensor, ModelError> {
    let (tokens, experts) = scores.size2()?;
    let by_group = scores.f_view([tokens, groups, experts / groups])?;
    let best_two = by_group.f_topk(2.min(experts / groups), -1, true, true)?.0;
    let best = best_two.f_sum_dim_intlist(-1, false, Kind::Float)?.f_topk(kept, -1, true, false)?.1;
    let is_kept = Tensor::f_zeros([tokens, groups], (Kind::Bool, scores.device()))?.f_scatter_value(1, &best, 1)?;
    let masked = by_group.f_masked_fill(&is_kept.f_logical_not()?.f_unsqueeze(2)?, f64::NEG_INFINITY)?;
    Ok(masked.f_view([tokens, experts])?)
}
