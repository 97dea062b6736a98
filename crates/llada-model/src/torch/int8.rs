//! Safe wrappers around `int8.cpp`: linear layers of eight-bit weights over eight-bit activations.
//!
//! Weights and activations are quantised symmetrically, w = q s with q in -127..=127: a row of weights (an output) has
//! its scale, fixed at load, and a row of activations (a token) has its own, found in each call. So what a token gives
//! does not depend on the others.

use std::{
    ffi::c_char,
    ptr::{NonNull, null, null_mut},
};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use super::shim::{Epilogue, check, failed};
use crate::ModelError;

/// The C++ side of [`Int8Weight`].
#[repr(C)]
struct Packed {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn llada_int8_quantize(x: *const C_tensor, values: *mut *mut C_tensor, scale: *mut *mut C_tensor) -> *mut c_char;
    fn llada_int8_pack(
        weight: *const C_tensor,
        scale: *const C_tensor,
        rows: i64,
        out: *mut *mut Packed,
    ) -> *mut c_char;
    fn llada_int8_free(weight: *mut Packed);
    fn llada_int8_linear(
        x: *const C_tensor,
        x_scale: *const C_tensor,
        weight: *const Packed,
        bias: *const C_tensor,
        after: i64,
        other: *const C_tensor,
        out: *mut C_tensor,
    ) -> *mut c_char;
}

/// A matrix of eight-bit integers, each row with its scale.
#[derive(Debug)]
pub(crate) struct Quantized {
    /// (rows, width) i8.
    pub(crate) values: Tensor,
    /// (rows) f32.
    pub(crate) scale: Tensor,
}

/// Quantises each row of a matrix, to nearest.
///
/// # Shapes
/// x (rows, width) f32 or bf16.
pub(crate) fn quantize(x: &Tensor) -> Result<Quantized, ModelError> {
    check_matrix(x)?;
    let x = x.f_contiguous()?;
    let (mut values, mut scale) = (null_mut(), null_mut());
    // SAFETY: a live contiguous tensor goes in; without an error both pointers are owned tensors.
    unsafe {
        failed(llada_int8_quantize(x.as_ptr(), &mut values, &mut scale))?;
        Ok(Quantized { values: Tensor::from_ptr(values), scale: Tensor::from_ptr(scale) })
    }
}

/// Weights in the layout that [`linear`] reads: for tiles where the processor has them, otherwise for oneDNN.
#[derive(Debug)]
pub(crate) struct Int8Weight {
    packed: NonNull<Packed>,
    /// (out, in).
    shape: (i64, i64),
}

// SAFETY: nothing changes what was packed, and its owner alone frees it.
unsafe impl Send for Int8Weight {}

impl Int8Weight {
    /// Packs `weight` (out, in) for about `rows` rows of input.
    pub(crate) fn pack(weight: &Quantized, rows: i64) -> Result<Self, ModelError> {
        let shape = weight.values.size2()?;
        check(weight.values.kind() == Kind::Int8 && weight.scale.size() == [shape.0], "int8: weights without scales")?;
        let scale = weight.scale.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut out = null_mut();
        // SAFETY: live tensors of the sizes and kinds checked above go in.
        unsafe { failed(llada_int8_pack(weight.values.as_ptr(), scale.as_ptr(), rows, &mut out))? };
        let packed = NonNull::new(out).ok_or_else(|| tch::TchError::Torch("int8: nothing was packed".to_owned()))?;
        Ok(Self { packed, shape })
    }
}

impl Drop for Int8Weight {
    fn drop(&mut self) {
        // SAFETY: made by `llada_int8_pack`, and freed here alone.
        unsafe { llada_int8_free(self.packed.as_ptr()) }
    }
}

/// x W^T + b with its epilogue.
///
/// # Shapes
/// x (rows, in), bias (out) f32, the epilogue's operand (rows, out) -> (rows, out) of `kind`, f32 or bf16, which is the
/// operand's too.
pub(crate) fn linear(
    x: &Quantized,
    weight: &Int8Weight,
    bias: Option<&Tensor>,
    epilogue: Epilogue<'_>,
    kind: Kind,
) -> Result<Tensor, ModelError> {
    let (rows, width) = x.values.size2()?;
    let (after, other) = match epilogue {
        Epilogue::None => (0, None),
        Epilogue::Silu => (1, None),
        Epilogue::Mul(other) => (2, Some(other.f_contiguous()?)),
        Epilogue::Add(other) => (3, Some(other.f_contiguous()?)),
    };
    let (outputs, inputs) = weight.shape;
    let fits = width == inputs
        && matches!(kind, Kind::Float | Kind::BFloat16)
        && bias.is_none_or(|bias| bias.kind() == Kind::Float && bias.size() == [outputs])
        && other.as_ref().is_none_or(|other| other.kind() == kind && other.size() == [rows, outputs]);
    check(fits, "int8: input, bias or operand do not fit the weights")?;
    let pointer = |tensor: Option<&Tensor>| tensor.map_or(null(), Tensor::as_ptr);
    let mut out = Tensor::f_empty([rows, outputs], (kind, Device::Cpu))?;
    // SAFETY: live contiguous tensors whose sizes and kinds were checked above, or null where there is none.
    unsafe {
        failed(llada_int8_linear(
            x.values.as_ptr(),
            x.scale.as_ptr(),
            weight.packed.as_ptr(),
            pointer(bias),
            after,
            pointer(other.as_ref()),
            out.as_mut_ptr(),
        ))?;
    }
    Ok(out)
}

fn check_matrix(x: &Tensor) -> Result<(), ModelError> {
    let fits = x.dim() == 2 && x.device() == Device::Cpu && matches!(x.kind(), Kind::Float | Kind::BFloat16);
    check(fits, "int8: the input is not a matrix of f32 or bf16 on the CPU")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(sizes: [i64; 2], kind: Kind) -> Tensor {
        Tensor::randn(sizes, tch::kind::FLOAT_CPU).to_kind(kind)
    }

    #[test]
    fn quantised_values_are_within_half_a_step() -> Result<(), ModelError> {
        tch::manual_seed(0);
        for kind in [Kind::Float, Kind::BFloat16] {
            let x = random([5, 37], kind);
            drop(x.get(3).f_zero_()?);
            let Quantized { values, scale } = quantize(&x)?;
            let steps = scale.unsqueeze(1);
            let error = (values.to_kind(Kind::Float) * &steps - x.to_kind(Kind::Float)).abs();
            assert!((steps * 0.5001 - error).min().double_value(&[]) >= 0.0);
            assert_eq!(values.abs().max().int64_value(&[]), 127);
            assert_eq!(scale.double_value(&[3]), 0.0);
        }
        Ok(())
    }

    #[test]
    fn layers_multiply_what_was_quantised() -> Result<(), ModelError> {
        tch::manual_seed(1);
        for (kind, tolerance) in [(Kind::Float, 1e-4), (Kind::BFloat16, 2e-2)] {
            let (x, other) = (random([19, 48], kind), random([19, 33], kind));
            let (w, bias) = (random([33, 48], Kind::Float), random([1, 33], Kind::Float).squeeze());
            let (x, w) = (quantize(&x)?, quantize(&w)?);
            let exact = |x: &Quantized| x.values.to_kind(Kind::Float) * x.scale.unsqueeze(1);
            let plain = exact(&x).f_linear(&exact(&w), Some(&bias))?;
            let weight = Int8Weight::pack(&w, 16)?;
            let other_f32 = other.to_kind(Kind::Float);
            let cases = [
                (Epilogue::None, plain.shallow_clone()),
                (Epilogue::Silu, plain.silu()),
                (Epilogue::Mul(&other), &plain * &other_f32),
                (Epilogue::Add(&other), &plain + &other_f32),
            ];
            for (epilogue, expected) in cases {
                let y = linear(&x, &weight, Some(&bias), epilogue, kind)?;
                assert_eq!(y.kind(), kind);
                assert!(y.to_kind(Kind::Float).allclose(&expected, tolerance, tolerance, false));
            }
        }
        Ok(())
    }

    #[test]
    fn a_token_is_the_same_in_any_company() -> Result<(), ModelError> {
        tch::manual_seed(2);
        let (x, w) = (random([21, 64], Kind::BFloat16), random([40, 64], Kind::Float));
        let weight = Int8Weight::pack(&quantize(&w)?, 16)?;
        let give = |x: &Tensor| linear(&quantize(x)?, &weight, None, Epilogue::None, Kind::BFloat16);
        let together = give(&x)?;
        for row in [0, 7, 20] {
            assert!(give(&x.narrow(0, row, 1))?.equal(&together.narrow(0, row, 1)));
        }
        Ok(())
    }

    #[test]
    fn weights_in_shares_give_what_whole_ones_give() -> Result<(), ModelError> {
        tch::manual_seed(3);
        // The first is for tiles, the second for oneDNN.
        for width in [2048, 2049] {
            let [x, w] = [5, 700].map(|rows| quantize(&random([rows, width], Kind::Float)));
            let (x, w, other) = (x?, w?, random([5, 700], Kind::Float));
            let give = |weight: &Quantized, other: &Tensor| {
                linear(&x, &Int8Weight::pack(weight, 16)?, None, Epilogue::Add(other), Kind::Float)
            };
            let threads = tch::get_num_threads();
            tch::set_num_threads(3);
            let whole = give(&w, &other);
            tch::set_num_threads(threads);
            let whole = whole?;
            for first in [0, 250, 699] {
                let part = Quantized { values: w.values.narrow(0, first, 1), scale: w.scale.narrow(0, first, 1) };
                let output = give(&part, &other.narrow(1, first, 1).contiguous())?;
                assert!(output.equal(&whole.narrow(1, first, 1)));
            }
        }
        Ok(())
    }

    /// A width that tiles do not fit goes to oneDNN: a column of zeros more changes the way, and nothing else.
    #[test]
    fn tiles_give_what_onednn_gives() -> Result<(), ModelError> {
        tch::manual_seed(4);
        for (rows, outputs, width) in [(1, 70, 64), (16, 32, 192), (19, 33, 128), (37, 16, 64), (100, 40, 8192)] {
            let (x, w) = (random([rows, width], Kind::Float), random([outputs, width], Kind::Float));
            let give = |x: &Tensor, w: &Tensor| {
                linear(&quantize(x)?, &Int8Weight::pack(&quantize(w)?, 16)?, None, Epilogue::None, Kind::Float)
            };
            let wider = |x: &Tensor| x.f_constant_pad_nd([0, 1]);
            assert!(give(&x, &w)?.allclose(&give(&wider(&x)?, &wider(&w)?)?, 1e-6, 1e-6, false));
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<(), ModelError> {
        let weight = Int8Weight::pack(&quantize(&random([4, 8], Kind::Float))?, 16)?;
        let give = |x: &Tensor, after| linear(&quantize(x)?, &weight, None, after, Kind::Float);
        assert!(give(&random([2, 7], Kind::Float), Epilogue::None).is_err());
        let other = random([3, 4], Kind::Float);
        assert!(give(&random([2, 8], Kind::Float), Epilogue::Add(&other)).is_err());
        assert!(quantize(&Tensor::zeros([4], tch::kind::FLOAT_CPU)).is_err());
        Ok(())
    }
}
