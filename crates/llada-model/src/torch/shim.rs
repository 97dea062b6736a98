//! Safe wrappers around `shim.cpp`: copies to a GPU, packed linear layers and two fused kernels on the CPU.

use std::{
    ffi::{CStr, c_char},
    ptr::null_mut,
};

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::ModelError;

unsafe extern "C" {
    fn llada_free(text: *mut c_char);
    fn llada_upload(values: *const i64, count: usize, device: i64, out: *mut *mut C_tensor) -> *mut c_char;
    fn llada_pack(weight: *const C_tensor, rows: i64, out: *mut *mut C_tensor) -> *mut c_char;
    fn llada_packed_linear(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        unary: *const c_char,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_packed_linear_binary(
        x: *const C_tensor,
        other: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        binary: *const c_char,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_rms_norm(x: *const C_tensor, weight: *const C_tensor, eps: f64, out: *mut *mut C_tensor) -> *mut c_char;
    fn llada_rotate(
        x: *mut C_tensor,
        cos: *const C_tensor,
        sin: *const C_tensor,
        positions: *const C_tensor,
    ) -> *mut c_char;
}

/// The operation that a linear layer applies to its result y before it is stored.
#[derive(Clone, Copy)]
pub(crate) enum Epilogue<'a> {
    /// y
    None,
    /// silu(y)
    Silu,
    /// y ⊙ the operand
    Mul(&'a Tensor),
    /// y + the operand
    Add(&'a Tensor),
}

impl Epilogue<'_> {
    /// Returns the number of the epilogue in the enum `After` of panels.h, and its operand.
    pub(super) fn parts(self) -> Result<(i64, Option<Tensor>), ModelError> {
        Ok(match self {
            Self::None => (0, None),
            Self::Silu => (1, None),
            Self::Mul(other) => (2, Some(other.f_contiguous()?)),
            Self::Add(other) => (3, Some(other.f_contiguous()?)),
        })
    }
}

/// Consecutive rows of an input and what they go through: a layer, or its weights. The parts of an input follow one
/// another.
#[derive(Debug)]
pub(crate) struct Part<'a, T> {
    pub(crate) through: &'a T,
    pub(crate) rows: usize,
}

impl<'a, T> Part<'a, T> {
    /// Creates the only part of an input.
    ///
    /// # Shapes
    /// x (rows, in).
    pub(crate) fn whole(through: &'a T, x: &Tensor) -> Result<Self, ModelError> {
        Ok(Self { through, rows: x.size2()?.0 as usize })
    }

    /// Creates the part with as many rows that goes through something else, such as a field of it.
    pub(crate) fn map<U>(&self, through: impl Fn(&'a T) -> &'a U) -> Part<'a, U> {
        Part { through: through(self.through), rows: self.rows }
    }
}

/// The number of rows of each part, if they are `rows` together.
pub(super) fn rows_of_parts<T>(parts: &[Part<'_, T>], rows: i64) -> Result<Vec<i64>, ModelError> {
    let each: Vec<i64> = parts.iter().map(|part| part.rows as i64).collect();
    check(!each.is_empty() && each.iter().sum::<i64>() == rows, "the parts are not the rows of the input")?;
    Ok(each)
}

/// Copies integers to the CUDA device of this index, in whose stream the copy is queued.
///
/// # Shapes
/// -> (values) i64.
pub(super) fn upload(values: &[i64], device: usize) -> Result<Tensor, ModelError> {
    let mut out = null_mut();
    // SAFETY: the values are read before the call returns; `check_tensor` owns what comes out.
    unsafe { check_tensor(llada_upload(values.as_ptr(), values.len(), device as i64, &mut out), out) }
}

/// Packs `weight` (out, in) in a blocked layout, which oneDNN chooses for about `rows` rows of input.
pub(crate) fn pack(weight: &Tensor, rows: i64) -> Result<Tensor, ModelError> {
    let mut out = null_mut();
    // SAFETY: a live tensor goes in; `check_tensor` owns what comes out.
    unsafe { check_tensor(llada_pack(weight.as_ptr(), rows, &mut out), out) }
}

/// Computes x W^T + b and the epilogue, with W from [`pack`].
///
/// # Shapes
/// x (rows, in), bias (out), the epilogue's operand (rows, out) -> (rows, out).
pub(crate) fn packed_linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epilogue: Epilogue<'_>,
) -> Result<Tensor, ModelError> {
    let (x, weight) = (x.as_ptr(), weight.as_ptr());
    let bias = bias.map_or(std::ptr::null(), Tensor::as_ptr);
    let mut out = null_mut();
    let unary = |name: &CStr, out: &mut *mut C_tensor| {
        // SAFETY: live tensors and a literal go in.
        unsafe { llada_packed_linear(x, weight, bias, name.as_ptr(), out) }
    };
    let binary = |name: &CStr, other: &Tensor, out: &mut *mut C_tensor| {
        // SAFETY: live tensors and a literal go in.
        unsafe { llada_packed_linear_binary(x, other.as_ptr(), weight, bias, name.as_ptr(), out) }
    };
    let error = match epilogue {
        Epilogue::None => unary(c"none", &mut out),
        Epilogue::Silu => unary(c"swish", &mut out),
        Epilogue::Mul(other) => binary(c"mul", other, &mut out),
        Epilogue::Add(other) => binary(c"add", other, &mut out),
    };
    // SAFETY: `out` was written by the call above unless it gave an error.
    unsafe { check_tensor(error, out) }
}

/// Computes the root-mean-square norm of each row in f32, in one pass.
///
/// # Shapes
/// x (rows, width) f32 or bf16, weight (width) of the same kind -> (rows, width).
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, ModelError> {
    let x = x.f_contiguous()?;
    check(x.size2()?.1 == weight.size1()? && x.kind() == weight.kind(), "rms_norm: input and weight differ")?;
    let mut out = null_mut();
    // SAFETY: live contiguous tensors of matching width and kind, as the kernel expects.
    unsafe { check_tensor(llada_rms_norm(x.as_ptr(), weight.as_ptr(), eps, &mut out), out) }
}

/// Rotates every head of every row of `x` in place by the angles of its position, computed in f32.
///
/// # Shapes
/// x (rows, heads x 2 x half), cos and sin (positions, half) f32, positions (rows) i64, each below cos's first size.
pub(crate) fn rotate(x: &mut Tensor, cos: &Tensor, sin: &Tensor, positions: &Tensor) -> Result<(), ModelError> {
    let ((rows, width), (_, half)) = (x.size2()?, cos.size2()?);
    let fits = width % (2 * half) == 0 && positions.size1()? == rows && sin.size() == cos.size();
    let kinds = cos.kind() == Kind::Float && sin.kind() == Kind::Float && positions.kind() == Kind::Int64;
    check(fits && kinds && x.is_contiguous(), "rotate: shapes, kinds or layout do not fit")?;
    // SAFETY: contiguous tensors whose sizes and kinds were checked above.
    let error = unsafe { llada_rotate(x.as_mut_ptr(), cos.as_ptr(), sin.as_ptr(), positions.as_ptr()) };
    // SAFETY: no tensor comes out.
    unsafe { check_status(error) }
}

/// Returns an error with this message if a condition on shapes, kinds or layouts does not hold.
pub(super) fn check(holds: bool, message: &str) -> Result<(), ModelError> {
    if holds { Ok(()) } else { Err(tch::TchError::Shape(message.to_owned()).into()) }
}

/// Returns the tensor `out` that a function of the shim has created, or its error.
///
/// # Safety
/// `error` is null or owned text from the shim; if null, `out` is an owned tensor.
pub(super) unsafe fn check_tensor(error: *mut c_char, out: *mut C_tensor) -> Result<Tensor, ModelError> {
    // SAFETY: passed on.
    unsafe { check_status(error)? };
    // SAFETY: without an error the shim has stored an owned tensor.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Returns the error of a function of the shim, if there is one.
///
/// # Safety
/// `error` is null or owned text from the shim.
pub(super) unsafe fn check_status(error: *mut c_char) -> Result<(), ModelError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a C string made by the shim, read once and freed by the allocator that made it.
    let text = unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        llada_free(error);
        text
    };
    Err(tch::TchError::Torch(text).into())
}
