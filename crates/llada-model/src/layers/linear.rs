//! A linear layer x W^T + b, prepacked for oneDNN where that runs, with what follows it fused into it.

use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

use crate::{
    ModelError, Precision,
    torch::{
        bf16::{self, Bf16Kernel, Bf16Weight},
        int8::{self, Activations, Int8Kernel, Int8Weight, Quantized},
        shim::{Epilogue, pack, packed_linear},
    },
};

/// The number of input rows that the packed layout is chosen for: that of a typical block or sequence.
const PACKED_FOR_ROWS: i64 = 64;

/// What layers read, (rows, in), and once for all of them what quantised layers make of it.
pub(crate) struct Input<'a> {
    x: &'a Tensor,
    quantized: OnceCell<Activations>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(x: &'a Tensor) -> Self {
        Self { x, quantized: OnceCell::new() }
    }

    fn quantized(&self) -> Result<&Activations, ModelError> {
        if let Some(quantized) = self.quantized.get() {
            return Ok(quantized);
        }
        let quantized = Activations::new(self.x)?;
        Ok(self.quantized.get_or_init(|| quantized))
    }
}

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
    Bf16(Bf16Weight),
    Int8(Int8Weight),
}

/// How a model's linear layers hold their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightFormat {
    Plain,
    Packed,
    Bf16(Bf16Kernel),
    Int8(Int8Kernel),
}

impl WeightFormat {
    /// The fastest that runs here: whether oneDNN does is tried, not guessed.
    pub(crate) fn of(precision: Precision, device: Device) -> Self {
        if device != Device::Cpu {
            return Self::Plain;
        }
        if precision == Precision::Int8
            && let Some(kernel) = Int8Kernel::best()
        {
            return Self::Int8(kernel);
        }
        if precision.kind() == Kind::BFloat16
            && let Some(kernel) = Bf16Kernel::best()
        {
            return Self::Bf16(kernel);
        }
        let probe = || {
            let x = Tensor::f_ones([2, 16], (precision.kind(), device))?;
            Linear::float(x.shallow_clone(), None, Self::Packed)?.forward(&Input::new(&x), Epilogue::Silu)
        };
        if probe().is_ok() { Self::Packed } else { Self::Plain }
    }
}

impl Linear {
    /// A layer over `weight` as it is.
    pub(crate) fn plain(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Plain(weight), bias }
    }

    /// A layer over `weight`, copied into `format` if that has an order of its own; [`WeightFormat::Int8`] is for quantised
    /// weights ([`Linear::int8`]).
    pub(crate) fn float(weight: Tensor, bias: Option<Tensor>, format: WeightFormat) -> Result<Self, ModelError> {
        match format {
            WeightFormat::Plain | WeightFormat::Int8(_) => Ok(Self::plain(weight, bias)),
            WeightFormat::Packed => Ok(Self { weight: Weight::Packed(pack(&weight, PACKED_FOR_ROWS)?), bias }),
            WeightFormat::Bf16(kernel) => {
                let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
                Ok(Self { weight: Weight::Bf16(Bf16Weight::pack(&weight, kernel)?), bias })
            }
        }
    }

    /// A layer over quantised weights.
    pub(crate) fn int8(weight: &Quantized, bias: Option<Tensor>, kernel: Int8Kernel) -> Result<Self, ModelError> {
        let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
        Ok(Self { weight: Weight::Int8(Int8Weight::pack(weight, kernel)?), bias })
    }

    /// Whether the layer's weights are being trained: what follows it must then leave its output alone.
    pub(crate) fn is_trainable(&self) -> bool {
        matches!(&self.weight, Weight::Plain(weight) if weight.requires_grad())
    }

    /// # Shapes
    /// x (rows, in), the epilogue's operand (rows, out) -> (rows, out).
    pub(crate) fn forward(&self, input: &Input<'_>, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        let bias = self.bias.as_ref();
        match &self.weight {
            Weight::Packed(weight) => packed_linear(input.x, weight, bias, epilogue),
            Weight::Bf16(weight) => bf16::linear(input.x, weight, bias, epilogue),
            Weight::Int8(weight) => int8::linear(input.quantized()?, weight, bias, epilogue, input.x.kind()),
            Weight::Plain(weight) => {
                let mut y = input.x.f_linear(weight, bias)?;
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
