//! Safe wrappers around `product.cpp`: products with matrices that change from one to the next, by the fastest kernel of
//! this processor.

use std::{
    ffi::c_char,
    ptr::{null, null_mut},
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::shim::{check, check_tensor};
use crate::ModelError;

unsafe extern "C" {
    fn llada_linear(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_matmul(x: *const C_tensor, weight: *const C_tensor, out: *mut *mut C_tensor) -> *mut c_char;
}

/// Computes x W^T + b, with a gradient of all three.
///
/// # Shapes
/// x (rows, in), weight (out, in), bias (out), of one kind -> (rows, out).
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, ModelError> {
    let (outputs, inputs) = weight.size2()?;
    let fits = x.size2()?.1 == inputs
        && x.kind() == weight.kind()
        && bias.is_none_or(|bias| bias.size() == [outputs] && bias.kind() == x.kind());
    check(fits, "linear: input, weight and bias do not fit")?;
    let mut out = null_mut();
    let bias = bias.map_or(null(), Tensor::as_ptr);
    // SAFETY: live tensors go in, whose sizes and kinds were checked above, or null where there is no bias.
    unsafe { check_tensor(llada_linear(x.as_ptr(), weight.as_ptr(), bias, &mut out), out) }
}

/// Computes x W, without a gradient.
///
/// # Shapes
/// x (rows, in), weight (in, out), of one kind -> (rows, out).
pub(crate) fn matmul(x: &Tensor, weight: &Tensor) -> Result<Tensor, ModelError> {
    check(x.size2()?.1 == weight.size2()?.0 && x.kind() == weight.kind(), "matmul: the factors do not fit")?;
    let mut out = null_mut();
    // SAFETY: live tensors go in, whose sizes and kinds were checked above.
    unsafe { check_tensor(llada_matmul(x.as_ptr(), weight.as_ptr(), &mut out), out) }
}

#[cfg(test)]
mod tests {
    use tch::{
        Device,
        Kind::{self, BFloat16, Float},
    };

    use super::*;
    use crate::torch::gradient::backward;

    /// The product of the first three, its gradients, and the fourth times the weight, which is the gradient of x.
    fn all([x, weight, bias, slope]: [&Tensor; 4], kind: Kind) -> Result<[Tensor; 5], ModelError> {
        let leaf = |tensor: &Tensor| tensor.to_kind(kind).set_requires_grad(true);
        let [x, weight, bias] = [leaf(x), leaf(weight), leaf(bias)];
        let y = linear(&x, &weight, Some(&bias))?;
        let slope = slope.to_kind(kind);
        backward(&y, &slope)?;
        Ok([y.detach(), x.grad(), weight.grad(), bias.grad(), matmul(&slope, &weight.detach())?])
    }

    #[test]
    fn bf16_is_f32_but_for_its_roundings() -> Result<(), ModelError> {
        tch::manual_seed(0);
        for [rows, inputs, outputs] in [[1, 2, 3], [7, 33, 65], [40, 129, 70]] {
            let random = |size: &[i64]| Tensor::randn(size, (Float, Device::Cpu)).to_kind(BFloat16);
            let parts =
                [random(&[rows, inputs]), random(&[outputs, inputs]), random(&[outputs]), random(&[rows, outputs])];
            let parts = parts.each_ref();
            let (exact, rounded) = (all(parts, Float)?, all(parts, BFloat16)?);
            for (part, (exact, rounded)) in exact.iter().zip(&rounded).enumerate() {
                assert_eq!(rounded.kind(), BFloat16);
                let largest = exact.abs().max().double_value(&[]);
                let error = (rounded.to_kind(Float) - exact).abs().max().double_value(&[]);
                assert!(error <= largest / 100.0, "{rows} x {inputs} x {outputs}, part {part}: {error} of {largest}");
            }
            assert!(rounded[1].equal(&rounded[4]));
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let zeros = |size: &[i64], kind| Tensor::zeros(size, (kind, Device::Cpu));
        let x = zeros(&[2, 3], Float);
        assert!(linear(&x, &zeros(&[4, 2], Float), None).is_err());
        assert!(linear(&x, &zeros(&[4, 3], BFloat16), None).is_err());
        assert!(linear(&x, &zeros(&[4, 3], Float), Some(&zeros(&[3], Float))).is_err());
        assert!(matmul(&x, &zeros(&[4, 3], Float)).is_err());
    }
}
