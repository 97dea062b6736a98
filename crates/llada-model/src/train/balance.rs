//! The auxiliary loss that spreads tokens over experts, as LLaDA-MoE's published code has it (`load_balancing_loss_func`,
//! after Switch Transformers, arXiv 2101.03961, equations 4 to 6): coef E Σ_e f_e P_e. Over all tokens of all layers with
//! experts, f_e is how often a token chooses expert e, and P_e is the mean of its probability. A gradient has P alone.

use tch::{Kind, Tensor};

use crate::{ModelConfig, ModelError, layers::moe::Load};

/// The loss over the layers whose loads were added.
pub(super) struct Balance {
    /// coef E and the share of the batch.
    factor: f64,
    tokens: i64,
    /// (experts) f32, the sums of the loads; none before the first.
    chosen: Option<Tensor>,
    probability: Option<Tensor>,
}

impl Balance {
    /// The loss of `config`, of a batch that is this part of all rows of a step.
    pub(super) fn new(config: &ModelConfig, share: f64) -> Self {
        let moe = config.moe.as_ref();
        let factor = moe.map_or(0.0, |moe| moe.router_aux_loss_coef.unwrap_or(0.0) * moe.num_experts as f64);
        Self { factor: factor * share, tokens: 0, chosen: None, probability: None }
    }

    /// Adds what the routers of some layers have done.
    pub(super) fn add(&mut self, loads: &[Load]) -> Result<(), ModelError> {
        for Load { tokens, chosen, probability } in loads {
            self.tokens += tokens;
            self.chosen = Some(sum(self.chosen.take(), chosen)?);
            self.probability = Some(sum(self.probability.take(), &probability.f_detach()?)?);
        }
        Ok(())
    }

    /// The part of the loss that these layers add, with a gradient; none if they have no routers. The loads of all layers
    /// must have been added: f is that of all.
    pub(super) fn term(&self, loads: &[Load]) -> Result<Option<Tensor>, ModelError> {
        let (Some(chosen), false) = (&self.chosen, loads.is_empty()) else { return Ok(None) };
        let mut term = None;
        for Load { probability, .. } in loads {
            term = Some(sum(term, &probability.f_mul(chosen)?.f_sum(Kind::Float)?)?);
        }
        Ok(term.map(|term| term.f_mul_scalar(self.scale())).transpose()?)
    }

    /// The loss.
    pub(super) fn loss(&self) -> Result<f64, ModelError> {
        let (Some(chosen), Some(probability)) = (&self.chosen, &self.probability) else { return Ok(0.0) };
        Ok(chosen.f_dot(probability)?.f_double_value(&[])? * self.scale())
    }

    /// From sums over tokens to means, and to the loss.
    fn scale(&self) -> f64 {
        self.factor / (self.tokens as f64).powi(2)
    }
}

fn sum(before: Option<Tensor>, more: &Tensor) -> Result<Tensor, ModelError> {
    Ok(match before {
        Some(before) => before.f_add(more)?,
        None => more.shallow_clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tch::no_grad;

    use super::*;
    use crate::{
        Device, Dtype, TrainableTransformer, TrainingBatch,
        layers::{attention::CacheView, block::TransformerBlock},
        train::source::Layers,
        weights::role::{BlockRole, Role},
    };

    fn floats(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.reshape([-1])).unwrap()
    }

    /// One softmax over the experts, in f64.
    fn probabilities(hidden: &[f32], router: &[f32]) -> Vec<f64> {
        let logit = |row: &[f32]| row.iter().zip(hidden).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
        let powers: Vec<f64> = router.chunks(hidden.len()).map(|row| logit(row).exp()).collect();
        powers.iter().map(|power| power / powers.iter().sum::<f64>()).collect()
    }

    /// By loops over tokens, from the published formula.
    fn expected(model: &mut TrainableTransformer, batch: &TrainingBatch<'_>) -> f64 {
        let (config, prepared) = (model.config.clone(), model.prepare(batch).unwrap().unwrap());
        let moe = config.moe.as_ref().unwrap();
        let (mut tokens, mut f, mut p) = (0.0, vec![0.0; moe.num_experts], vec![0.0; moe.num_experts]);
        let mut x = model.embed(&prepared.ids).unwrap();
        for layer in 0..config.num_hidden_layers {
            let block = TransformerBlock::new(&mut Layers { model: &*model, dropout: None }, layer).unwrap();
            let role = Role::Block(layer, BlockRole::Router);
            let router = model.tensor(role).unwrap();
            let hidden = block.router_input(&x, &prepared.packing, &model.rope).unwrap();
            for token in floats(&hidden).chunks(config.hidden_size) {
                let of_token = probabilities(token, &floats(&router));
                let mut order: Vec<usize> = (0..moe.num_experts).collect();
                order.sort_by(|&a, &b| of_token[b].total_cmp(&of_token[a]));
                order[..moe.num_experts_per_tok].iter().for_each(|&expert| f[expert] += 1.0);
                p.iter_mut().zip(&of_token).for_each(|(sum, probability)| *sum += probability);
                tokens += 1.0;
            }
            x = block.forward(&x, &prepared.packing, &model.rope, CacheView::none()).unwrap();
        }
        let sum: f64 = f.iter().zip(&p).map(|(f, p)| f / tokens * (p / tokens)).sum();
        moe.router_aux_loss_coef.unwrap() * moe.num_experts as f64 * sum
    }

    #[test]
    fn the_loss_is_the_published_formula_over_all_tokens_and_layers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-llada-moe");
        let ids: Vec<u32> = (0..40).map(|i| i * 37 % 500).collect();
        let (wanted, targets, weights) = ([3, 25].as_slice(), [5, 6].as_slice(), [0.5, 0.5].as_slice());
        for is_checkpointed in [false, true] {
            let mut model = TrainableTransformer::load(&folder, Device::Cpu, Dtype::F32).unwrap();
            model.set_activation_checkpointing(is_checkpointed);
            let mut batch =
                TrainingBatch { ids: &ids, row_lengths: &[20; 2], wanted, targets, weights, entropy: None, share: 1.0 };
            let expected = no_grad(|| expected(&mut model, &batch));
            model.accumulate(&batch).unwrap();
            let whole = model.router_aux_loss().unwrap();
            assert!((whole - expected).abs() < 1e-6 * expected, "{whole} is not {expected}");
            batch.share = 0.25;
            model.accumulate(&batch).unwrap();
            assert!((model.router_aux_loss().unwrap() - 1.25 * expected).abs() < 1e-6 * expected);
            model.clear_gradient().unwrap();
            assert_eq!(model.router_aux_loss(), Some(0.0));
        }
    }
}
