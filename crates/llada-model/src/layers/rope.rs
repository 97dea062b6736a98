//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864) in its rotate-half form: pair i is (i, i + half).

use tch::{Device, Kind, Tensor};

use crate::{
    LladaConfig, ModelError,
    torch::{gradient, shim},
};

/// Angles position x theta^(-2i / head_dim) for every position that the config allows.
#[derive(Debug)]
pub(crate) struct Rope {
    /// (max_sequence_length, head_dim / 2) f32.
    cos: Tensor,
    sin: Tensor,
    full_precision: bool,
}

impl Rope {
    pub(crate) fn new(config: &LladaConfig, device: Device) -> Result<Self, ModelError> {
        let half = config.head_dim() as i64 / 2;
        let options = (Kind::Float, device);
        // In the reference's order of operations: a last-bit difference here is a visible angle at position 4000.
        let exponents = Tensor::f_arange(half, options)?.f_mul_scalar(2.0)?.f_div_scalar(config.head_dim() as f64)?;
        let frequencies = Tensor::f_full([1], config.rope_theta, options)?.f_pow(&exponents)?.f_reciprocal()?;
        let angles = Tensor::f_arange(config.max_sequence_length as i64, options)?.f_outer(&frequencies)?;
        Ok(Self { cos: angles.f_cos()?, sin: angles.f_sin()?, full_precision: config.rope_full_precision })
    }

    /// Rotates each head of each token by its position. The input's memory is reused where that is possible.
    ///
    /// # Shapes
    /// x (tokens, heads x head_dim), positions (tokens) i64 -> (tokens, heads x head_dim).
    pub(crate) fn rotate(&self, mut x: Tensor, positions: &Tensor) -> Result<Tensor, ModelError> {
        if x.device() == Device::Cpu && (self.full_precision || x.kind() == Kind::Float) {
            if x.requires_grad() {
                return gradient::rotate(x, &self.cos, &self.sin, positions);
            }
            shim::rotate(&mut x, &self.cos, &self.sin, positions)?;
            return Ok(x);
        }
        let half = self.cos.size2()?.1;
        let kind = if self.full_precision { Kind::Float } else { x.kind() };
        let angles = |table: &Tensor| table.f_index_select(0, positions)?.f_unsqueeze(1)?.f_to_kind(kind);
        let (cos, sin) = (angles(&self.cos)?, angles(&self.sin)?);
        let halves = x.f_to_kind(kind)?.f_view([x.size2()?.0, -1, 2, half])?;
        let (low, high) = (halves.f_select(2, 0)?, halves.f_select(2, 1)?);
        let new_low = low.f_mul(&cos)?.f_sub(&high.f_mul(&sin)?)?;
        let new_high = high.f_mul(&cos)?.f_add(&low.f_mul(&sin)?)?;
        let rotated = Tensor::f_stack(&[new_low, new_high], 2)?;
        Ok(rotated.f_to_kind(x.kind())?.f_view(x.size2()?)?)
    }
}
