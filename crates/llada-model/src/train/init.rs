//! The initialisation of LLaDA's weights: `init_fn` "mitchell" (`init_weights`) of the OLMo code on which LLaDA is
//! based.
//!
//! Matrices are normally distributed with standard deviation $1 / \sqrt{\text{inputs}}$, truncated at three standard
//! deviations. The two matrices of block $l$ (counted from 0) that write to the residual stream are divided by
//! $\sqrt{2 (l + 1)}$. The weights of norms are one, biases are zero.
//!
//! New adapters are those of peft: A is uniform in $\pm 1 / \sqrt{\text{inputs}}$, B is zero, so they change nothing.

use std::f64::consts::TAU;

use llada_core::rng::{Domain, Noise, Stream};
use tch::{Tensor, no_grad};

use super::parameters::Parameters;
use crate::{
    ModelConfig, ModelError,
    adapter::targets::{Targets, a_of},
    weights::role::{BlockRole, Projection, Role, StoredTensor, stored_tensors},
};

/// Draws `weights`, which depend on `seed` and the config alone.
pub(super) fn mitchell(weights: &mut Parameters, config: &ModelConfig, seed: u64) -> Result<(), ModelError> {
    let noise = Noise::new(seed).domain(Domain::Weight);
    for (index, tensor) in stored_tensors(config).into_iter().enumerate() {
        let StoredTensor { name, shape, role } = tensor;
        let mut view = weights.view(&weights.layout.spans[&name])?;
        let mut values: Vec<f32> = Vec::new();
        if let [rows, columns] = *shape.as_slice() {
            let std = standard_deviation(role, columns);
            for row in 0..rows {
                let mut stream = noise.stream(index as u64, 0, row as u32);
                values.extend((0..columns).map(|_| (std * truncated_normal(&mut stream)) as f32));
            }
        } else {
            values.resize(shape[0], if is_norm(role) { 1.0 } else { 0.0 });
        }
        no_grad(|| view.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(&view)?))?;
    }
    Ok(())
}

/// Draws new adapters, which depend on `seed` and the names and shapes of their modules alone.
pub(super) fn adapters(weights: &mut Parameters, targets: &Targets, seed: u64) -> Result<(), ModelError> {
    let noise = Noise::new(seed).domain(Domain::Weight);
    for (index, module) in targets.modules().enumerate() {
        let mut view = weights.view(&weights.layout.spans[&a_of(module)])?;
        let (r, width) = view.size2()?;
        let bound = 1.0 / (width as f64).sqrt();
        let mut values: Vec<f32> = Vec::new();
        for row in 0..r {
            let mut stream = noise.stream(index as u64, 0, row as u32);
            values.extend((0..width).map(|_| (bound * (2.0 * stream.uniform() - 1.0)) as f32));
        }
        no_grad(|| view.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(&view)?))?;
    }
    Ok(())
}

fn is_norm(role: Role) -> bool {
    match role {
        Role::FinalNorm => true,
        Role::Block(_, role) => matches!(
            role,
            BlockRole::AttentionNorm | BlockRole::FeedForwardNorm | BlockRole::QueryNorm | BlockRole::KeyNorm
        ),
        Role::Embedding | Role::Head => false,
    }
}

fn standard_deviation(role: Role, columns: usize) -> f64 {
    // For the embedding, upstream takes d_model as the number of inputs, which is the number of its columns too.
    let std = 1.0 / (columns as f64).sqrt();
    match role {
        Role::Block(layer, BlockRole::AttentionOut | BlockRole::Mlp(Projection::Down)) => {
            std / (2.0 * (layer + 1) as f64).sqrt()
        }
        _ => std,
    }
}

/// Draws from the standard normal distribution (Box & Muller 1958), again and again until it is within three standard
/// deviations.
fn truncated_normal(stream: &mut Stream) -> f64 {
    loop {
        let normal = (-2.0 * stream.uniform().ln()).sqrt() * (TAU * stream.uniform()).cos();
        if normal.abs() <= 3.0 {
            return normal;
        }
    }
}
