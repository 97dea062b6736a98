//! Safe wrappers around `gradient.cpp`: operations with a gradient, the backward pass, and the optimizer.
//!
//! On the CPU the operations are fused kernels. On other devices they are composed of libtorch's own operations.

use std::{ffi::c_char, ptr::null_mut};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use super::shim::{check, check_status, check_tensor};
use crate::{AdamW, ModelError};

unsafe extern "C" {
    fn llada_rms_norm_autograd(
        x: *const C_tensor,
        weight: *const C_tensor,
        eps: f64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_rotate_autograd(
        x: *const C_tensor,
        cos: *const C_tensor,
        sin: *const C_tensor,
        positions: *const C_tensor,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_silu_mul_autograd(gate: *const C_tensor, up: *const C_tensor, out: *mut *mut C_tensor) -> *mut c_char;
    fn llada_cross_entropy(
        logits: *mut C_tensor,
        targets: *const C_tensor,
        weights: *const C_tensor,
        learn: bool,
        loss: *mut C_tensor,
    ) -> *mut c_char;
    fn llada_backward(y: *const C_tensor, gradient: *const C_tensor) -> *mut c_char;
    fn llada_set_grad(parameter: *mut C_tensor, gradient: *const C_tensor) -> *mut c_char;
    fn llada_adamw(
        weights: *mut C_tensor,
        gradient: *mut C_tensor,
        exp_avg: *mut C_tensor,
        exp_avg_sq: *mut C_tensor,
        step: *const C_tensor,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        grad_scale: *const C_tensor,
    ) -> *mut c_char;
}

/// Computes [`rms_norm`](super::shim::rms_norm) on the CPU, with a gradient.
///
/// # Shapes
/// x (rows, width) f32 or bf16, weight (width) of the same kind -> (rows, width).
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, ModelError> {
    let (x, weight) = (x.f_contiguous()?, weight.f_contiguous()?);
    check(x.size2()?.1 == weight.size1()? && x.kind() == weight.kind(), "rms_norm: input and weight differ")?;
    let mut out = null_mut();
    // SAFETY: live contiguous tensors of matching width and kind, as the kernels expect.
    unsafe { check_tensor(llada_rms_norm_autograd(x.as_ptr(), weight.as_ptr(), eps, &mut out), out) }
}

/// Computes [`rotate`](super::shim::rotate) on the CPU, with a gradient. The memory of `x` is overwritten, which is
/// correct only if the backward pass of the operation before does not need its output.
///
/// # Shapes
/// Those of [`rotate`](super::shim::rotate) -> (rows, heads x 2 x half).
pub(crate) fn rotate(x: Tensor, cos: &Tensor, sin: &Tensor, positions: &Tensor) -> Result<Tensor, ModelError> {
    let ((rows, width), (_, half)) = (x.size2()?, cos.size2()?);
    let fits = width % (2 * half) == 0 && positions.size1()? == rows && sin.size() == cos.size();
    let kinds = cos.kind() == Kind::Float && sin.kind() == Kind::Float && positions.kind() == Kind::Int64;
    check(fits && kinds && x.is_contiguous(), "rotate: shapes, kinds or layout do not fit")?;
    let mut out = null_mut();
    // SAFETY: live contiguous tensors whose sizes and kinds were checked above.
    unsafe {
        check_tensor(llada_rotate_autograd(x.as_ptr(), cos.as_ptr(), sin.as_ptr(), positions.as_ptr(), &mut out), out)
    }
}

/// Computes silu(gate) ⊙ up, with a gradient.
///
/// # Shapes
/// gate, up and the result have one shape and kind.
pub(crate) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor, ModelError> {
    if gate.device() != Device::Cpu {
        return Ok(gate.f_silu()?.f_mul(up)?);
    }
    let (gate, up) = (gate.f_contiguous()?, up.f_contiguous()?);
    check(gate.size() == up.size() && gate.kind() == up.kind(), "silu_mul: gate and up differ")?;
    let mut out = null_mut();
    // SAFETY: live contiguous tensors of one shape and kind.
    unsafe { check_tensor(llada_silu_mul_autograd(gate.as_ptr(), up.as_ptr(), &mut out), out) }
}

/// Computes −log softmax(logits)\[target\] of each row in f32. If `learn` is set, the logits are overwritten with the
/// gradient of the sum over rows, weighted by `weights`.
///
/// # Shapes
/// logits (rows, n), targets (rows) i64, each below n, weights (rows) f32 -> (rows) f32.
pub(crate) fn cross_entropy(
    logits: &mut Tensor,
    targets: &Tensor,
    weights: &Tensor,
    learn: bool,
) -> Result<Tensor, ModelError> {
    let rows = logits.size2()?.0;
    check(targets.size1()? == rows && weights.size1()? == rows, "cross_entropy: rows, targets and weights differ")?;
    if logits.device() != Device::Cpu {
        let log_p = logits.f_log_softmax(-1, Kind::Float)?;
        let picked = targets.f_unsqueeze(1)?;
        let loss = log_p.f_gather(1, &picked, false)?.f_neg()?.f_squeeze()?;
        if learn {
            let one = Tensor::f_full_like(&picked.f_to_kind(Kind::Float)?, -1.0)?;
            let slope = log_p.f_exp()?.f_scatter_add(1, &picked, &one)?.f_mul(&weights.f_unsqueeze(1)?)?;
            logits.f_copy_(&slope)?;
        }
        return Ok(loss.f_view([rows])?);
    }
    let kinds = targets.kind() == Kind::Int64 && weights.kind() == Kind::Float;
    check(kinds && logits.is_contiguous(), "cross_entropy: kinds or layout do not fit")?;
    let mut loss = Tensor::f_empty([rows], (Kind::Float, Device::Cpu))?;
    let (targets, weights) = (targets.f_contiguous()?, weights.f_contiguous()?);
    // SAFETY: contiguous tensors whose sizes and kinds were checked above.
    unsafe {
        let loss = loss.as_mut_ptr();
        check_status(llada_cross_entropy(logits.as_mut_ptr(), targets.as_ptr(), weights.as_ptr(), learn, loss))?;
    }
    Ok(loss)
}

/// How certain predictions are.
pub(crate) struct Certainty {
    /// (rows) f32, the entropy of each prediction in nats.
    pub(crate) entropy: Tensor,
    /// (rows) bool, whether the most probable token is the target.
    pub(crate) is_correct: Tensor,
    /// (rows, n) f32, the log-probabilities at the temperature.
    log_p: Tensor,
}

impl Certainty {
    /// Computes the entropies of softmax(logits / temperature).
    ///
    /// # Shapes
    /// logits (rows, n), targets (rows) i64.
    pub(crate) fn new(logits: &Tensor, targets: &Tensor, temperature: f64) -> Result<Self, ModelError> {
        let log_p = logits.f_to_kind(Kind::Float)?.f_div_scalar(temperature)?.f_log_softmax(-1, Kind::Float)?;
        let entropy = log_p.f_exp()?.f_mul(&log_p)?.f_sum_dim_intlist(-1, false, Kind::Float)?.f_neg()?;
        let is_correct = logits.f_argmax(-1, false)?.f_eq_tensor(targets)?;
        Ok(Self { entropy, is_correct, log_p })
    }

    /// Computes the gradient of the weighted sum of the entropies by the logits: -p (log p + entropy) / temperature.
    ///
    /// # Shapes
    /// weights (rows) f32 -> (rows, n) f32.
    pub(crate) fn gradient(&self, weights: &Tensor, temperature: f64) -> Result<Tensor, ModelError> {
        let slope = self.log_p.f_add(&self.entropy.f_unsqueeze(1)?)?.f_mul(&self.log_p.f_exp()?)?;
        Ok(slope.f_mul(&weights.f_unsqueeze(1)?.f_div_scalar(-temperature)?)?)
    }
}

/// Runs the backward pass of the graph of `y`, starting from `gradient`, which has the shape of `y`.
pub(crate) fn backward(y: &Tensor, gradient: &Tensor) -> Result<(), ModelError> {
    // SAFETY: live tensors go in.
    unsafe { check_status(llada_backward(y.as_ptr(), gradient.as_ptr())) }
}

/// Sets `gradient` as the tensor to which backward passes add the gradient of `parameter`, in place.
pub(crate) fn set_grad(parameter: &mut Tensor, gradient: &Tensor) -> Result<(), ModelError> {
    // SAFETY: live tensors go in.
    unsafe { check_status(llada_set_grad(parameter.as_mut_ptr(), gradient.as_ptr())) }
}

/// Computes a step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) in one pass over its four tensors, which are
/// f32 and have one shape. `step` is counted from 1. The gradient is divided by `grad_scale` first.
///
/// # Shapes
/// step () f32, grad_scale () f32.
pub(crate) fn adamw(
    [weights, gradient, exp_avg, exp_avg_sq]: [&mut Tensor; 4],
    step: &Tensor,
    settings: AdamW,
    grad_scale: &Tensor,
) -> Result<(), ModelError> {
    let AdamW { lr, betas: [beta1, beta2], eps, weight_decay } = settings;
    let [weights, gradient, exp_avg, exp_avg_sq] =
        [weights, gradient, exp_avg, exp_avg_sq].map(|tensor| tensor.as_mut_ptr());
    let (step, grad_scale) = (step.as_ptr(), grad_scale.as_ptr());
    // SAFETY: live tensors go in; libtorch checks their shapes and kinds.
    unsafe {
        check_status(llada_adamw(
            weights,
            gradient,
            exp_avg,
            exp_avg_sq,
            step,
            lr,
            beta1,
            beta2,
            weight_decay,
            eps,
            grad_scale,
        ))
    }
}
