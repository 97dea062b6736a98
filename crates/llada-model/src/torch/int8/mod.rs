//! Safe wrappers around `int8.cpp`: linear layers with eight-bit weights and eight-bit activations.
//!
//! Both are quantised symmetrically, as w = q s with an integer q in -127..=127. A row of weights (an output) has a
//! scale that is fixed when it is loaded. A row of activations (a token) has a scale that is computed in each call, so
//! the result for a token does not depend on the other tokens.

mod kernel;

use std::{
    ffi::c_char,
    ptr::{NonNull, null, null_mut},
};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

pub use self::kernel::Int8Kernel;
use super::shim::{Epilogue, Part, check, check_status, rows_of_parts};
use crate::ModelError;

/// The C++ part of [`Int8Weight`].
#[repr(C)]
struct Packed {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn llada_int8_quantize(
        x: *const C_tensor,
        activations: bool,
        values: *mut *mut C_tensor,
        scale: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_int8_pack(
        kernel: i64,
        weight: *const C_tensor,
        scale: *const C_tensor,
        out: *mut *mut Packed,
    ) -> *mut c_char;
    fn llada_int8_free(weight: *mut Packed);
    fn llada_int8_linear(
        x: *const C_tensor,
        x_scale: *const C_tensor,
        weights: *const NonNull<Packed>,
        rows: *const i64,
        count: i64,
        bias: *const C_tensor,
        after: i64,
        other: *const C_tensor,
        out: *mut C_tensor,
    ) -> *mut c_char;
}

/// Weights in eight bits, with a scale for each row (an output).
#[derive(Debug)]
pub(crate) struct Quantized {
    /// (rows, width) i8.
    pub(crate) values: Tensor,
    /// (rows) f32.
    pub(crate) scale: Tensor,
}

impl Quantized {
    /// Quantises each row of a matrix, to nearest.
    ///
    /// # Shapes
    /// x (rows, width) f32 or bf16.
    pub(crate) fn weights(x: &Tensor) -> Result<Self, ModelError> {
        let (values, scale) = quantize(x, false)?;
        Ok(Self { values, scale })
    }

    /// Computes the weights in `kind`.
    ///
    /// # Shapes
    /// -> (rows, width).
    pub(crate) fn dequantize(&self, kind: Kind) -> Result<Tensor, ModelError> {
        let exact = self.values.f_to_kind(Kind::Float)?.f_mul_(&self.scale.f_unsqueeze(1)?)?;
        Ok(exact.f_to_kind(kind)?)
    }
}

/// Activations in eight bits, with a scale for each row (a token).
#[derive(Debug)]
pub(crate) struct Activations {
    /// (rows, width) u8: the integers plus 128, because the kernels multiply unsigned by signed bytes.
    values: Tensor,
    /// (rows) f32.
    scale: Tensor,
}

impl Activations {
    /// Quantises each row of a matrix, to nearest.
    ///
    /// # Shapes
    /// x (rows, width) f32 or bf16.
    pub(crate) fn new(x: &Tensor) -> Result<Self, ModelError> {
        let (values, scale) = quantize(x, true)?;
        Ok(Self { values, scale })
    }
}

fn quantize(x: &Tensor, activations: bool) -> Result<(Tensor, Tensor), ModelError> {
    let fits = x.dim() == 2 && x.device() == Device::Cpu && matches!(x.kind(), Kind::Float | Kind::BFloat16);
    check(fits, "int8: the input is not a matrix of f32 or bf16 on the CPU")?;
    let x = x.f_contiguous()?;
    let (mut values, mut scale) = (null_mut(), null_mut());
    // SAFETY: a live contiguous tensor goes in; without an error both pointers are owned tensors.
    unsafe {
        check_status(llada_int8_quantize(x.as_ptr(), activations, &mut values, &mut scale))?;
        Ok((Tensor::from_ptr(values), Tensor::from_ptr(scale)))
    }
}

/// Weights in the layout that [`linear`] reads, with the kernel that multiplies them.
#[derive(Debug)]
pub(crate) struct Int8Weight {
    packed: NonNull<Packed>,
    /// (out, in).
    shape: (i64, i64),
    kernel: Int8Kernel,
}

// SAFETY: nothing changes what was packed, and its owner alone frees it.
unsafe impl Send for Int8Weight {}

impl Int8Weight {
    /// Packs `weight` (out, in) for a kernel that the processor supports.
    pub(crate) fn pack(weight: &Quantized, kernel: Int8Kernel) -> Result<Self, ModelError> {
        let shape = weight.values.size2()?;
        check(weight.values.kind() == Kind::Int8 && weight.scale.size() == [shape.0], "int8: weights without scales")?;
        check(kernel.is_supported(), "int8: the processor does not run the kernel")?;
        let scale = weight.scale.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut out = null_mut();
        // SAFETY: live tensors of the sizes and kinds checked above go in.
        unsafe { check_status(llada_int8_pack(kernel as i64, weight.values.as_ptr(), scale.as_ptr(), &mut out))? };
        let packed = NonNull::new(out).ok_or_else(|| tch::TchError::Torch("int8: nothing was packed".to_owned()))?;
        Ok(Self { packed, shape, kernel })
    }
}

impl Drop for Int8Weight {
    fn drop(&mut self) {
        // SAFETY: made by `llada_int8_pack`, and freed here alone.
        unsafe { llada_int8_free(self.packed.as_ptr()) }
    }
}

/// Computes x W^T + b and the epilogue, for each part of the rows with its own weights. The result and the operand of the
/// epilogue are of `kind`, which is f32 or bf16. All weights have one shape and one kernel.
///
/// # Shapes
/// x (rows, in), bias (out) f32, the epilogue's operand (rows, out) -> (rows, out).
pub(crate) fn linear(
    x: &Activations,
    parts: &[Part<'_, Int8Weight>],
    bias: Option<&Tensor>,
    epilogue: Epilogue<'_>,
    kind: Kind,
) -> Result<Tensor, ModelError> {
    let (rows, width) = x.values.size2()?;
    let rows_of_parts = rows_of_parts(parts, rows)?;
    let (after, other) = epilogue.parts()?;
    let &Int8Weight { shape, kernel, .. } = parts[0].through;
    let (outputs, inputs) = shape;
    let fits = width == inputs
        && parts.iter().all(|part| (part.through.shape, part.through.kernel) == (shape, kernel))
        && matches!(kind, Kind::Float | Kind::BFloat16)
        && bias.is_none_or(|bias| bias.kind() == Kind::Float && bias.size() == [outputs])
        && other.as_ref().is_none_or(|other| other.kind() == kind && other.size() == [rows, outputs]);
    check(fits, "int8: input, bias or operand do not fit the weights")?;
    let pointer = |tensor: Option<&Tensor>| tensor.map_or(null(), Tensor::as_ptr);
    let weights: Vec<_> = parts.iter().map(|part| part.through.packed).collect();
    let mut out = Tensor::f_empty([rows, outputs], (kind, Device::Cpu))?;
    // SAFETY: live contiguous tensors whose sizes and kinds were checked above, or null where there is none.
    unsafe {
        check_status(llada_int8_linear(
            x.values.as_ptr(),
            x.scale.as_ptr(),
            weights.as_ptr(),
            rows_of_parts.as_ptr(),
            parts.len() as i64,
            pointer(bias),
            after,
            pointer(other.as_ref()),
            out.as_mut_ptr(),
        ))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(sizes: [i64; 2], kind: Kind) -> Tensor {
        Tensor::randn(sizes, tch::kind::FLOAT_CPU).to_kind(kind)
    }

    fn supported() -> impl Iterator<Item = Int8Kernel> {
        Int8Kernel::ALL.into_iter().filter(|kernel| kernel.is_supported())
    }

    fn layer(
        x: &Activations,
        weight: &Int8Weight,
        bias: Option<&Tensor>,
        epilogue: Epilogue<'_>,
        kind: Kind,
    ) -> Result<Tensor, ModelError> {
        linear(x, &[Part { through: weight, rows: x.values.size()[0] as usize }], bias, epilogue, kind)
    }

    fn multiply(x: &Activations, weight: &Quantized, kernel: Int8Kernel) -> Result<Tensor, ModelError> {
        layer(x, &Int8Weight::pack(weight, kernel)?, None, Epilogue::None, Kind::Float)
    }

    fn values<T: tch::kind::Element + Copy>(x: &Tensor) -> Vec<T> {
        Vec::try_from(x.flatten(0, -1)).unwrap()
    }

    /// The product by a loop over integers, with the scales applied in the order of the kernels.
    fn by_integers(x: &Activations, weight: &Quantized) -> Vec<f32> {
        let ((rows, width), outputs) = (x.values.size2().unwrap(), weight.scale.size()[0]);
        let (x_values, w_values) = (values::<u8>(&x.values), values::<i8>(&weight.values));
        let (x_scale, w_scale) = (values::<f32>(&x.scale), values::<f32>(&weight.scale));
        let mut product = Vec::new();
        for row in 0..rows as usize {
            for output in 0..outputs as usize {
                let x_row = &x_values[row * width as usize..][..width as usize];
                let w_row = &w_values[output * width as usize..][..width as usize];
                let sum: i32 = x_row.iter().zip(w_row).map(|(&x, &w)| (i32::from(x) - 128) * i32::from(w)).sum();
                product.push(sum as f32 * w_scale[output] * x_scale[row]);
            }
        }
        product
    }

    #[test]
    fn quantised_values_are_within_half_a_step() -> Result<(), ModelError> {
        tch::manual_seed(0);
        for kind in [Kind::Float, Kind::BFloat16] {
            let x = random([5, 37], kind);
            drop(x.get(3).f_zero_()?);
            let Quantized { values, scale } = Quantized::weights(&x)?;
            let steps = scale.unsqueeze(1);
            let error = (values.to_kind(Kind::Float) * &steps - x.to_kind(Kind::Float)).abs();
            assert!((steps * 0.5001 - error).min().double_value(&[]) >= 0.0);
            assert_eq!(values.abs().max().int64_value(&[]), 127);
            assert_eq!(scale.double_value(&[3]), 0.0);
            let activations = Activations::new(&x)?;
            assert!((activations.values.to_kind(Kind::Int) - 128).equal(&values.to_kind(Kind::Int)));
            assert!(activations.scale.equal(&scale));
        }
        Ok(())
    }

    #[test]
    fn every_kernel_gives_the_bits_of_a_loop_over_integers() -> Result<(), ModelError> {
        tch::manual_seed(4);
        let shapes = [(1, 1, 1), (3, 5, 2), (1, 70, 64), (16, 32, 192), (19, 33, 128), (37, 16, 67), (65, 96, 130)];
        for (rows, outputs, width) in shapes.into_iter().chain((1..=32).map(|rows| (rows, 32, 60 + rows))) {
            let x = Activations::new(&random([rows, width], Kind::Float))?;
            let weight = Quantized::weights(&random([outputs, width], Kind::Float))?;
            let expected = by_integers(&x, &weight);
            for kernel in supported() {
                let product = values::<f32>(&multiply(&x, &weight, kernel)?);
                assert!(product == expected, "{kernel}: {rows} rows, {outputs} outputs, {width} inputs");
            }
        }
        Ok(())
    }

    #[test]
    fn no_sum_of_extreme_values_saturates() -> Result<(), ModelError> {
        let (x, w) = (Tensor::ones([2, 16_384], tch::kind::FLOAT_CPU), Tensor::ones([2, 16_384], tch::kind::FLOAT_CPU));
        let _ = (x.get(1).f_neg_()?, w.get(1).f_neg_()?);
        let (x, w) = (Activations::new(&x)?, Quantized::weights(&w)?);
        let expected = by_integers(&x, &w);
        for kernel in supported() {
            assert_eq!(values::<f32>(&multiply(&x, &w, kernel)?), expected, "{kernel}");
        }
        Ok(())
    }

    #[test]
    fn layers_multiply_what_was_quantised() -> Result<(), ModelError> {
        tch::manual_seed(1);
        for (kind, tolerance) in [(Kind::Float, 1e-4), (Kind::BFloat16, 2e-2)] {
            let (x, other) = (random([19, 48], kind), random([19, 33], kind));
            let (w, bias) = (random([33, 48], Kind::Float), random([1, 33], Kind::Float).squeeze());
            let (w, exact_x) = (Quantized::weights(&w)?, Quantized::weights(&x)?.dequantize(Kind::Float)?);
            let plain = exact_x.f_linear(&w.dequantize(Kind::Float)?, Some(&bias))?;
            let x = Activations::new(&x)?;
            let other_f32 = other.to_kind(Kind::Float);
            let cases = [
                (Epilogue::None, plain.shallow_clone()),
                (Epilogue::Silu, plain.silu()),
                (Epilogue::Mul(&other), &plain * &other_f32),
                (Epilogue::Add(&other), &plain + &other_f32),
            ];
            for kernel in supported() {
                let weight = Int8Weight::pack(&w, kernel)?;
                for (epilogue, expected) in &cases {
                    let y = layer(&x, &weight, Some(&bias), *epilogue, kind)?;
                    assert_eq!(y.kind(), kind);
                    assert!(y.to_kind(Kind::Float).allclose(expected, tolerance, tolerance, false), "{kernel}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_token_is_the_same_in_any_company() -> Result<(), ModelError> {
        tch::manual_seed(2);
        let (x, w) = (random([45, 66], Kind::BFloat16), random([40, 66], Kind::Float));
        let w = Quantized::weights(&w)?;
        for kernel in supported() {
            let together = multiply(&Activations::new(&x)?, &w, kernel)?;
            for row in 0..45 {
                let alone = multiply(&Activations::new(&x.narrow(0, row, 1))?, &w, kernel)?;
                assert!(alone.equal(&together.narrow(0, row, 1)), "{kernel}: row {row}");
            }
        }
        Ok(())
    }

    #[test]
    fn threads_change_nothing() -> Result<(), ModelError> {
        tch::manual_seed(3);
        let (x, w) = (random([70, 2049], Kind::Float), random([700, 2049], Kind::Float));
        let (x, w) = (Activations::new(&x)?, Quantized::weights(&w)?);
        let threads = tch::get_num_threads();
        for kernel in supported() {
            tch::set_num_threads(1);
            let alone = multiply(&x, &w, kernel);
            tch::set_num_threads(3);
            let shared = multiply(&x, &w, kernel);
            tch::set_num_threads(threads);
            assert!(alone?.equal(&shared?), "{kernel}");
        }
        Ok(())
    }

    #[test]
    fn parts_are_the_bits_of_their_products_alone() -> Result<(), ModelError> {
        tch::manual_seed(5);
        let rows = [1, 0, 40, 3, 12, 1, 1, 70];
        let x = random([rows.iter().sum::<usize>() as i64, 515], Kind::Float);
        let threads = tch::get_num_threads();
        for kernel in supported() {
            let pack = |_| Int8Weight::pack(&Quantized::weights(&random([770, 515], Kind::Float))?, kernel);
            let weights = rows.iter().map(pack).collect::<Result<Vec<_>, _>>()?;
            let parts: Vec<_> = weights.iter().zip(rows).map(|(through, rows)| Part { through, rows }).collect();
            tch::set_num_threads(3);
            let together = linear(&Activations::new(&x)?, &parts, None, Epilogue::None, Kind::Float);
            tch::set_num_threads(threads);
            let (together, mut start) = (together?, 0);
            for (weight, rows) in weights.iter().zip(rows.map(|rows| rows as i64)).filter(|&(_, rows)| rows > 0) {
                let rows_alone = Activations::new(&x.narrow(0, start, rows))?;
                let alone = layer(&rows_alone, weight, None, Epilogue::None, Kind::Float)?;
                assert!(alone.equal(&together.narrow(0, start, rows)), "{kernel}: rows from {start}");
                start += rows;
            }
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<(), ModelError> {
        assert!(Quantized::weights(&Tensor::zeros([4], tch::kind::FLOAT_CPU)).is_err());
        let weights = Quantized::weights(&random([4, 8], Kind::Float))?;
        for kernel in Int8Kernel::ALL {
            assert_eq!(Int8Weight::pack(&weights, kernel).is_ok(), kernel.is_supported());
        }
        let Some(kernel) = Int8Kernel::best() else { return Ok(()) };
        let weight = Int8Weight::pack(&weights, kernel)?;
        let give = |x: &Tensor, after| layer(&Activations::new(x)?, &weight, None, after, Kind::Float);
        assert!(give(&random([2, 7], Kind::Float), Epilogue::None).is_err());
        let other = random([3, 4], Kind::Float);
        assert!(give(&random([2, 8], Kind::Float), Epilogue::Add(&other)).is_err());
        Ok(())
    }
}
