//! How LLaDA's weights begin: `init_fn` "mitchell" of the OLMo code it is built on (`init_weights`).
//!
//! Matrices are normal with standard deviation $1 / \sqrt{\text{inputs}}$, cut off at three of them; the two that end in
//! the residual stream of block $l$ (from 0) are smaller by $\sqrt{2 (l + 1)}$. Norms begin at one, biases at zero.

use std::f64::consts::TAU;

use llada_core::rng::{Domain, Noise, Stream};
use tch::{Tensor, no_grad};

use super::parameters::Parameters;
use crate::{LladaConfig, ModelError, names};

/// Draws `weights`, a function of `seed` alone.
pub(super) fn mitchell(weights: &mut Parameters, config: &LladaConfig, seed: u64) -> Result<(), ModelError> {
    let noise = Noise::new(seed).domain(Domain::Weight);
    for (index, (name, shape)) in names::tensors(config).into_iter().enumerate() {
        let mut view = weights.view(&weights.layout.spans[&name])?;
        let mut values: Vec<f32> = Vec::new();
        if let [rows, columns] = *shape.as_slice() {
            let std = standard_deviation(config, &name, columns);
            for row in 0..rows {
                let mut stream = noise.stream(index as u64, 0, row as u32);
                values.extend((0..columns).map(|_| (std * truncated_normal(&mut stream)) as f32));
            }
        } else {
            let is_norm = name.ends_with("norm.weight") || name.ends_with("ln_f.weight");
            values.resize(shape[0], if is_norm { 1.0 } else { 0.0 });
        }
        no_grad(|| view.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(&view)?))?;
    }
    Ok(())
}

fn standard_deviation(config: &LladaConfig, name: &str, columns: usize) -> f64 {
    // The rows of the embedding are as wide as its "inputs" are in upstream's code: d_model.
    let std = 1.0 / (columns as f64).sqrt();
    let ends = |layer: &usize| ["attn_out", "ff_out"].map(|end| names::block(*layer) + end + ".weight");
    match (0..config.n_layers).find(|layer| ends(layer).iter().any(|end| end == name)) {
        Some(layer) => std / (2.0 * (layer + 1) as f64).sqrt(),
        None => std,
    }
}

/// Standard normal (Box & Muller 1958), drawn again beyond three standard deviations.
fn truncated_normal(stream: &mut Stream) -> f64 {
    loop {
        let normal = (-2.0 * stream.uniform().ln()).sqrt() * (TAU * stream.uniform()).cos();
        if normal.abs() <= 3.0 {
            return normal;
        }
    }
}
