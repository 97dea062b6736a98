//! Safe wrappers around `bf16.cpp`: kernels of this crate for linear layers with bfloat16 weights.

use std::{
    ffi::c_char,
    ptr::{NonNull, null, null_mut},
};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use super::shim::{Epilogue, Part, check, check_status, rows_of_parts};
use crate::ModelError;

/// The C++ part of [`Bf16Weight`].
#[repr(C)]
struct Packed {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn llada_bf16_best() -> i64;
    fn llada_bf16_runs(width: i64) -> bool;
    fn llada_bf16_pack(weight: *const C_tensor, out: *mut *mut Packed) -> *mut c_char;
    fn llada_bf16_free(weight: *mut Packed);
    fn llada_bf16_linear(
        width: i64,
        x: *const C_tensor,
        weights: *const NonNull<Packed>,
        rows: *const i64,
        count: i64,
        bias: *const C_tensor,
        after: i64,
        other: *const C_tensor,
        out: *mut C_tensor,
    ) -> *mut c_char;
}

/// A kernel for products of bfloat16, which accumulates in f32 by fused multiply-add. Both kernels compute the same
/// bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bf16Kernel {
    /// A kernel in registers of 512 bits.
    Avx512 = 512,
    /// A kernel in registers of 256 bits.
    Avx2 = 256,
}

impl Bf16Kernel {
    #[cfg(test)]
    const ALL: [Self; 2] = [Self::Avx512, Self::Avx2];

    fn is_supported(self) -> bool {
        // SAFETY: the function only asks the processor.
        unsafe { llada_bf16_runs(self as i64) }
    }

    /// Returns the fastest kernel of this processor, or `None` if it runs none or oneDNN is faster. oneDNN is faster on
    /// processors with tiles for bfloat16 (AMX) and on AMD processors with instructions for it.
    pub(crate) fn best() -> Option<Self> {
        // SAFETY: the function only asks the processor.
        match unsafe { llada_bf16_best() } {
            512 => Some(Self::Avx512),
            256 => Some(Self::Avx2),
            _ => None,
        }
    }
}

/// Weights in the layout that [`linear`] reads, with the kernel that multiplies them.
#[derive(Debug)]
pub(crate) struct Bf16Weight {
    packed: NonNull<Packed>,
    /// (out, in).
    shape: (i64, i64),
    kernel: Bf16Kernel,
}

// SAFETY: nothing changes what was packed, and its owner alone frees it.
unsafe impl Send for Bf16Weight {}

impl Bf16Weight {
    /// Packs `weight` (out, in) bf16 for a kernel that the processor supports.
    pub(crate) fn pack(weight: &Tensor, kernel: Bf16Kernel) -> Result<Self, ModelError> {
        let shape = weight.size2()?;
        let fits = weight.kind() == Kind::BFloat16 && weight.device() == Device::Cpu && kernel.is_supported();
        check(fits, "bf16: the weights are not a matrix of bf16 on the CPU, or the processor does not run the kernel")?;
        let weight = weight.f_contiguous()?;
        let mut out = null_mut();
        // SAFETY: a live contiguous tensor of the kind checked above goes in.
        unsafe { check_status(llada_bf16_pack(weight.as_ptr(), &mut out))? };
        let packed = NonNull::new(out).ok_or_else(|| tch::TchError::Torch("bf16: nothing was packed".to_owned()))?;
        Ok(Self { packed, shape, kernel })
    }
}

impl Drop for Bf16Weight {
    fn drop(&mut self) {
        // SAFETY: made by `llada_bf16_pack`, and freed here alone.
        unsafe { llada_bf16_free(self.packed.as_ptr()) }
    }
}

/// Computes x W^T + b and the epilogue, for each part of the rows with its own weights. All weights have one shape and
/// one kernel.
///
/// # Shapes
/// x (rows, in) bf16, bias (out) f32, the epilogue's operand (rows, out) bf16 -> (rows, out) bf16.
pub(crate) fn linear(
    x: &Tensor,
    parts: &[Part<'_, Bf16Weight>],
    bias: Option<&Tensor>,
    epilogue: Epilogue<'_>,
) -> Result<Tensor, ModelError> {
    let (rows, width) = x.size2()?;
    let rows_of_parts = rows_of_parts(parts, rows)?;
    let &Bf16Weight { shape, kernel, .. } = parts[0].through;
    let (outputs, inputs) = shape;
    let (after, other) = epilogue.parts()?;
    let fits = width == inputs
        && parts.iter().all(|part| (part.through.shape, part.through.kernel) == (shape, kernel))
        && x.kind() == Kind::BFloat16
        && bias.is_none_or(|bias| bias.kind() == Kind::Float && bias.size() == [outputs])
        && other.as_ref().is_none_or(|other| other.kind() == x.kind() && other.size() == [rows, outputs]);
    check(fits, "bf16: input, bias or operand do not fit the weights")?;
    let x = x.f_contiguous()?;
    let pointer = |tensor: Option<&Tensor>| tensor.map_or(null(), Tensor::as_ptr);
    let weights: Vec<_> = parts.iter().map(|part| part.through.packed).collect();
    let mut out = Tensor::f_empty([rows, outputs], (Kind::BFloat16, Device::Cpu))?;
    // SAFETY: live contiguous tensors whose sizes and kinds were checked above, or null where there is none.
    unsafe {
        check_status(llada_bf16_linear(
            kernel as i64,
            x.as_ptr(),
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

    fn random(sizes: [i64; 2]) -> Tensor {
        Tensor::randn(sizes, tch::kind::FLOAT_CPU).to_kind(Kind::BFloat16)
    }

    fn multiply(
        x: &Tensor,
        weight: &Bf16Weight,
        bias: Option<&Tensor>,
        epilogue: Epilogue<'_>,
    ) -> Result<Tensor, ModelError> {
        linear(x, &[Part { through: weight, rows: x.size()[0] as usize }], bias, epilogue)
    }

    fn supported() -> impl Iterator<Item = Bf16Kernel> {
        Bf16Kernel::ALL.into_iter().filter(|kernel| kernel.is_supported())
    }

    #[test]
    fn layers_are_those_of_f32_but_for_the_last_rounding() -> Result<(), ModelError> {
        tch::manual_seed(0);
        for (rows, outputs, inputs) in [(1, 1, 1), (3, 5, 2), (19, 33, 48), (37, 64, 67), (70, 700, 1025)] {
            let (x, w, other) = (random([rows, inputs]), random([outputs, inputs]), random([rows, outputs]));
            let bias = Tensor::randn([outputs], tch::kind::FLOAT_CPU);
            let (x_f32, w_f32, other_f32) =
                (x.to_kind(Kind::Float), w.to_kind(Kind::Float), other.to_kind(Kind::Float));
            let plain = x_f32.f_linear(&w_f32, Some(&bias))?;
            let cases = [
                (Epilogue::None, plain.shallow_clone()),
                (Epilogue::Silu, plain.silu()),
                (Epilogue::Mul(&other), &plain * &other_f32),
                (Epilogue::Add(&other), &plain + &other_f32),
            ];
            for (epilogue, expected) in cases {
                let mut bits: Option<Tensor> = None;
                for kernel in supported() {
                    let y = multiply(&x, &Bf16Weight::pack(&w, kernel)?, Some(&bias), epilogue)?;
                    assert!(y.to_kind(Kind::Float).allclose(&expected, 1e-2, 1e-2, false), "{kernel:?}");
                    assert!(bits.get_or_insert_with(|| y.shallow_clone()).equal(&y), "{kernel:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_token_is_the_same_in_any_company_and_on_any_number_of_threads() -> Result<(), ModelError> {
        tch::manual_seed(1);
        let (x, w) = (random([45, 2049]), random([700, 2049]));
        let threads = tch::get_num_threads();
        for kernel in supported() {
            let weight = Bf16Weight::pack(&w, kernel)?;
            tch::set_num_threads(3);
            let together = multiply(&x, &weight, None, Epilogue::None);
            tch::set_num_threads(1);
            for row in 0..45 {
                let alone = multiply(&x.narrow(0, row, 1), &weight, None, Epilogue::None);
                assert!(alone?.equal(&together.as_ref().unwrap().narrow(0, row, 1)), "{kernel:?}: row {row}");
            }
            tch::set_num_threads(threads);
        }
        Ok(())
    }

    #[test]
    fn parts_are_the_bits_of_their_products_alone() -> Result<(), ModelError> {
        tch::manual_seed(2);
        let rows = [1, 0, 40, 3, 12, 1, 1, 70];
        let x = random([rows.iter().sum::<usize>() as i64, 515]);
        let threads = tch::get_num_threads();
        for kernel in supported() {
            let pack = |_| Bf16Weight::pack(&random([770, 515]), kernel);
            let weights = rows.iter().map(pack).collect::<Result<Vec<_>, _>>()?;
            let parts: Vec<_> = weights.iter().zip(rows).map(|(through, rows)| Part { through, rows }).collect();
            tch::set_num_threads(3);
            let together = linear(&x, &parts, None, Epilogue::None);
            tch::set_num_threads(threads);
            let (together, mut start) = (together?, 0);
            for (weight, rows) in weights.iter().zip(rows.map(|rows| rows as i64)).filter(|&(_, rows)| rows > 0) {
                let alone = multiply(&x.narrow(0, start, rows), weight, None, Epilogue::None)?;
                assert!(alone.equal(&together.narrow(0, start, rows)), "{kernel:?}: rows from {start}");
                start += rows;
            }
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<(), ModelError> {
        let Some(kernel) = supported().next() else { return Ok(()) };
        assert!(Bf16Weight::pack(&Tensor::zeros([4, 8], tch::kind::FLOAT_CPU), kernel).is_err());
        let weight = Bf16Weight::pack(&random([4, 8]), kernel)?;
        assert!(multiply(&random([2, 7]), &weight, None, Epilogue::None).is_err());
        assert!(multiply(&random([2, 8]), &weight, None, Epilogue::Add(&random([3, 4]))).is_err());
        let other = Bf16Weight::pack(&random([5, 8]), kernel)?;
        for parts in [&[(&weight, 2), (&other, 1)][..], &[(&weight, 2)], &[]] {
            let parts: Vec<_> = parts.iter().map(|&(through, rows)| Part { through, rows }).collect();
            assert!(linear(&random([3, 8]), &parts, None, Epilogue::None).is_err());
        }
        Ok(())
    }
}
