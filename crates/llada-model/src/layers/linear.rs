//! The linear layer x W^T + b. Its weights are packed for the fastest kernel of the machine, and the operation that
//! follows is fused into it. A layer may have a LoRA adapter, which adds s B A x; what follows is not fused then.

use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

use super::{lora::Lora, packing::rounded};
use crate::{
    ModelError, Precision,
    torch::{
        bf16::{self, Bf16Kernel, Bf16Weight},
        int8::{self, Activations, Int8Kernel, Int8Weight, Quantized},
        matrix::{Matrix, Storage},
        shim::{Epilogue, Part, pack, packed_linear},
    },
};

/// The number of input rows for which oneDNN chooses the packed layout: that of a typical block.
const PACKED_FOR_ROWS: i64 = 64;

/// The input (rows, in) of one or several layers. It is quantised at most once, when the first quantised layer reads
/// it.
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

/// A linear layer with weights (out, in) and an optional bias (out).
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    lora: Option<Lora>,
}

#[derive(Debug)]
enum Weight {
    Plain(Tensor),
    Packed(Tensor),
    Bf16(Bf16Weight),
    Int8(Int8Weight),
    /// As stored, for products in the dtype of the input.
    Stored(Matrix),
}

impl Weight {
    fn bf16(&self) -> Option<&Bf16Weight> {
        if let Self::Bf16(weight) = self { Some(weight) } else { None }
    }

    fn int8(&self) -> Option<&Int8Weight> {
        if let Self::Int8(weight) = self { Some(weight) } else { None }
    }
}

/// The memory layout of the weights of linear layers, which determines the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightFormat {
    /// Row-major, for libtorch's own kernels.
    Plain,
    /// oneDNN's blocked layout.
    Packed,
    /// The layout of this crate's bf16 kernels.
    Bf16(Bf16Kernel),
    /// The layout of this crate's int8 kernels.
    Int8(Int8Kernel),
    /// The format of storage, for products in the dtype of the input.
    Stored(Storage),
}

impl WeightFormat {
    /// Returns true if the kernels give the rows of a product the bits that two or more of them have alone, whatever the
    /// number of rows and threads. Those of libtorch that take row-major weights do not, and oneDNN has a kernel of its own
    /// for a single row.
    pub(crate) fn rounds_rows_alone(&self) -> bool {
        match self {
            Self::Packed | Self::Bf16(_) | Self::Int8(_) => true,
            Self::Plain | Self::Stored(_) => false,
        }
    }

    /// Returns the layout of the fastest kernel for `precision` on `device`.
    pub(crate) fn of(precision: Precision, device: Device) -> Self {
        if matches!(precision, Precision::Nf4 { .. }) {
            return Self::Stored(precision.into());
        }
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
        if runs_packed(precision.kind()).is_ok() { Self::Packed } else { Self::Plain }
    }
}

/// Runs a small packed layer. libtorch does not tell whether oneDNN supports a kind on this processor, so it is tried.
fn runs_packed(kind: Kind) -> Result<Tensor, ModelError> {
    let x = Tensor::f_ones([2, 16], (kind, Device::Cpu))?;
    Linear::float(x.shallow_clone(), None, WeightFormat::Packed)?.forward(&Input::new(&x), Epilogue::Silu)
}

impl Linear {
    /// Creates a layer that uses `weight` without a copy.
    pub(crate) fn plain(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self::new(Weight::Plain(weight), bias)
    }

    fn new(weight: Weight, bias: Option<Tensor>) -> Self {
        Self { weight, bias, lora: None }
    }

    /// Adds an adapter.
    pub(crate) fn with_lora(self, lora: Option<Lora>) -> Self {
        Self { lora, ..self }
    }

    /// Creates a layer from `weight`, which is copied into the layout of `format`. [`Linear::int8`] does so for
    /// [`WeightFormat::Int8`]; here that format means row-major.
    pub(crate) fn float(weight: Tensor, bias: Option<Tensor>, format: WeightFormat) -> Result<Self, ModelError> {
        match format {
            WeightFormat::Plain | WeightFormat::Int8(_) => Ok(Self::plain(weight, bias)),
            WeightFormat::Packed => Ok(Self::new(Weight::Packed(pack(&weight, PACKED_FOR_ROWS)?), bias)),
            WeightFormat::Bf16(kernel) => {
                let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
                Ok(Self::new(Weight::Bf16(Bf16Weight::pack(&weight, kernel)?), bias))
            }
            WeightFormat::Stored(storage) => Ok(Self::stored(Matrix::new(&weight, storage)?, bias)),
        }
    }

    /// Creates a layer that is computed in the dtype of its input, whatever that of its weights.
    pub(crate) fn stored(weight: Matrix, bias: Option<Tensor>) -> Self {
        Self::new(Weight::Stored(weight), bias)
    }

    /// Returns the weights of a layer that was made by [`stored`](Self::stored), and its bias.
    pub(crate) fn as_stored(&self) -> Option<(&Matrix, Option<&Tensor>)> {
        if let Weight::Stored(weight) = &self.weight { Some((weight, self.bias.as_ref())) } else { None }
    }

    /// Creates a layer from quantised weights.
    pub(crate) fn int8(weight: &Quantized, bias: Option<Tensor>, kernel: Int8Kernel) -> Result<Self, ModelError> {
        let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
        Ok(Self::new(Weight::Int8(Int8Weight::pack(weight, kernel)?), bias))
    }

    /// Returns true if the weights or the adapter are being trained. Operations after the layer must then not overwrite its output,
    /// which the backward pass reads.
    pub(crate) fn is_trainable(&self) -> bool {
        matches!(&self.weight, Weight::Plain(weight) if weight.requires_grad())
            || self.lora.as_ref().is_some_and(Lora::is_trainable)
    }

    /// Returns the number of rows, of `rows` wanted ones, for which the layer is computed: the kernels of this crate take
    /// any number, and for others it is rounded up.
    pub(crate) fn rounded(&self, rows: usize) -> usize {
        match self.weight {
            Weight::Bf16(_) | Weight::Int8(_) if self.lora.is_none() => rows,
            _ => rounded(rows),
        }
    }

    /// Computes the layer and its epilogue.
    ///
    /// # Shapes
    /// x (rows, in), the epilogue's operand (rows, out) -> (rows, out).
    pub(crate) fn forward(&self, input: &Input<'_>, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        match &self.lora {
            None => self.product(input, epilogue),
            Some(lora) => followed_by(epilogue, lora.add(input.x, self.product(input, Epilogue::None)?)?),
        }
    }

    /// Computes the layer without its adapter, and the epilogue.
    fn product(&self, input: &Input<'_>, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        let bias = self.bias.as_ref();
        let x = input.x;
        match &self.weight {
            Weight::Packed(weight) => packed_linear(x, weight, bias, epilogue),
            Weight::Bf16(weight) => bf16::linear(x, &[Part::whole(weight, x)?], bias, epilogue),
            Weight::Int8(weight) => {
                int8::linear(input.quantized()?, &[Part::whole(weight, x)?], bias, epilogue, x.kind())
            }
            Weight::Plain(weight) => followed_by(epilogue, x.f_linear(weight, bias)?),
            Weight::Stored(weight) => {
                let mut y = weight.linear(x)?;
                if let Some(bias) = bias {
                    y = y.f_add_(&bias.f_to_kind(x.kind())?)?;
                }
                followed_by(epilogue, y)
            }
        }
    }

    /// Computes several layers of one shape, without biases, and the epilogue in one product, each part of the rows
    /// through its own layer. Returns `None` if the kernel of their weights takes one layer at a time.
    ///
    /// # Shapes
    /// x (rows, in), the epilogue's operand (rows, out) -> (rows, out).
    pub(crate) fn forward_parts(
        parts: &[Part<'_, Self>],
        input: &Input<'_>,
        epilogue: Epilogue<'_>,
    ) -> Result<Option<Tensor>, ModelError> {
        if let Some(parts) = weights_of(parts, Weight::bf16) {
            return bf16::linear(input.x, &parts, None, epilogue).map(Some);
        }
        if let Some(parts) = weights_of(parts, Weight::int8) {
            return int8::linear(input.quantized()?, &parts, None, epilogue, input.x.kind()).map(Some);
        }
        Ok(None)
    }
}

/// Computes an epilogue in place.
fn followed_by(epilogue: Epilogue<'_>, mut y: Tensor) -> Result<Tensor, ModelError> {
    Ok(match epilogue {
        Epilogue::None => y,
        Epilogue::Silu => y.f_silu_()?,
        Epilogue::Mul(other) => y.f_mul_(other)?,
        Epilogue::Add(other) => y.f_add_(other)?,
    })
}

/// The parts with the weights of their layers, if all are of a kind and have no adapters.
fn weights_of<'a, W>(
    parts: &[Part<'a, Linear>],
    kind: impl Fn(&'a Weight) -> Option<&'a W>,
) -> Option<Vec<Part<'a, W>>> {
    let of_part = |part: &Part<'a, Linear>| {
        let Linear { weight, lora: None, .. } = part.through else { return None };
        Some(Part { through: kind(weight)?, rows: part.rows })
    };
    parts.iter().map(of_part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    /// Rows of a batch are computed together on that condition.
    #[test]
    fn kernels_that_say_so_round_each_row_alone() -> Result<(), ModelError> {
        tch::manual_seed(0);
        let before = tch::get_num_threads();
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let kind = Precision::from(dtype).kind();
            for [inputs, outputs] in [[192, 512], [512, 192], [1024, 1024], [2048, 256], [5632, 64]] {
                let weight = Tensor::f_randn([outputs, inputs], (kind, Device::Cpu))?;
                let x = Tensor::f_randn([256, inputs], (kind, Device::Cpu))?;
                let mut formats = vec![WeightFormat::of(dtype.into(), Device::Cpu), WeightFormat::Packed];
                formats.retain(WeightFormat::rounds_rows_alone);
                for format in formats {
                    let layer = Linear::float(weight.shallow_clone(), None, format)?;
                    for threads in [1, 3, 16] {
                        tch::set_num_threads(threads);
                        for [start, rows, all] in
                            [[0, 2, 4], [3, 5, 8], [0, 8, 32], [5, 13, 39], [32, 32, 96], [37, 40, 256], [100, 64, 192]]
                        {
                            let alone = layer.forward(&Input::new(&x.f_narrow(0, start, rows)?), Epilogue::Silu)?;
                            let together = layer.forward(&Input::new(&x.f_narrow(0, 0, all)?), Epilogue::Silu)?;
                            let same = together.f_narrow(0, start, rows)?.equal(&alone);
                            let case = format!("{threads} threads, {rows} rows from {start} of {all}");
                            assert!(same, "{format:?} {inputs} x {outputs}: {case}");
                        }
                    }
                    tch::set_num_threads(before);
                }
            }
        }
        Ok(())
    }
}
