//! A linear layer x W^T + b, prepacked for oneDNN where that runs, with what follows it fused into it.

use tch::{Device, Kind, Tensor};

use crate::{
    ModelError,
    torch::shim::{Epilogue, pack, packed_linear},
};

/// The number of input rows that the packed layout is chosen for: that of a typical block or sequence.
const PACKED_FOR_ROWS: i64 = 64;

/// Weights (out, in) and an optional bias (out).
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Debug)]
enum Weight {
    Plain(Tensor),
    Packed(Tensor),
}

impl Linear {
    /// A layer over `weight` as it is.
    pub(crate) fn plain(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Plain(weight), bias }
    }

    /// A layer over a packed copy of `weight`.
    pub(crate) fn packed(weight: &Tensor, bias: Option<Tensor>) -> Result<Self, ModelError> {
        Ok(Self { weight: Weight::Packed(pack(weight, PACKED_FOR_ROWS)?), bias })
    }

    /// Whether the layer's weights are being trained: what follows it must then leave its output alone.
    pub(crate) fn learns(&self) -> bool {
        matches!(&self.weight, Weight::Plain(weight) if weight.requires_grad())
    }

    /// Whether this processor runs packed layers of this kind.
    pub(crate) fn can_pack(device: Device, kind: Kind) -> bool {
        let probe = || {
            let x = Tensor::f_ones([2, 16], (kind, device))?;
            Self::packed(&x, None)?.forward(&x, Epilogue::Silu)
        };
        device == Device::Cpu && probe().is_ok()
    }

    /// # Shapes
    /// x (rows, in), the epilogue's operand (rows, out) -> (rows, out).
    pub(crate) fn forward(&self, x: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        match &self.weight {
            Weight::Packed(weight) => packed_linear(x, weight, self.bias.as_ref(), epilogue),
            Weight::Plain(weight) => {
                let mut y = x.f_linear(weight, self.bias.as_ref())?;
                Ok(match epilogue {
                    Epilogue::None => y,
                    Epilogue::Silu => y.f_silu_()?,
                    Epilogue::Mul(other) => y.f_mul_(other)?,
                    Epilogue::Add(other) => y.f_add_(other)?,
                })
            }
        }
    }
}
