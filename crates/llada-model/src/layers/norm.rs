//! RMSNorm. As in LLaDA (`modeling_llada.py`, RMSLayerNorm), it is computed in f32 and cast back before it is weighted.

use tch::{Device, Kind, Tensor};

use crate::{
    ModelError,
    torch::{gradient, shim},
};

/// The norm x / sqrt(mean(x²) + eps) ⊙ weight.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn new(weight: Tensor, eps: f64) -> Self {
        Self { weight, eps }
    }

    /// Normalises each row.
    ///
    /// # Shapes
    /// x (rows, width) -> (rows, width).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        if x.device() == Device::Cpu && (x.requires_grad() || self.weight.requires_grad()) {
            return gradient::rms_norm(x, &self.weight, self.eps);
        }
        if x.device() == Device::Cpu {
            return shim::rms_norm(x, &self.weight, self.eps);
        }
        let wide = x.f_to_kind(Kind::Float)?;
        let mean_square = wide.f_square()?.f_mean_dim(-1, true, Kind::Float)?;
        let unit = wide.f_mul(&mean_square.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        Ok(unit.f_to_kind(x.kind())?.f_mul(&self.weight)?)
    }
}
