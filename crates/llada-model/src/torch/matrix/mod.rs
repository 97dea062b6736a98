//! Safe wrappers around `matrix.cpp`: matrices that are kept in the format in which they are stored, and multiplied in
//! the dtype of the input. They are frozen: their products have a gradient of the input alone.

mod nf4;

use std::{
    ffi::c_char,
    ptr::{null, null_mut},
};

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

pub(crate) use self::nf4::Nf4;
use super::{
    int8::Quantized,
    shim::{check, check_tensor},
};
use crate::{ModelError, Precision};

unsafe extern "C" {
    fn llada_matrix_linear(
        x: *const C_tensor,
        format: i64,
        values: *const C_tensor,
        scale: *const C_tensor,
        absmax: *const C_tensor,
        table: *const C_tensor,
        offset: f64,
        rows: i64,
        columns: i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn llada_matrix_dequantize(
        format: i64,
        values: *const C_tensor,
        scale: *const C_tensor,
        absmax: *const C_tensor,
        table: *const C_tensor,
        offset: f64,
        rows: i64,
        columns: i64,
        bf16: bool,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// The format in which a matrix is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Float(Kind),
    Int8,
    /// NF4, whose scales are in eight bits if `double_quant` is set.
    Nf4 {
        double_quant: bool,
    },
}

impl From<Precision> for Storage {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Float(dtype) => Self::Float(dtype.kind()),
            Precision::Int8 => Self::Int8,
            Precision::Nf4 { double_quant } => Self::Nf4 { double_quant },
        }
    }
}

/// A matrix as it is stored.
#[derive(Debug)]
pub(crate) enum Matrix {
    /// (rows, columns) f32 or bf16.
    Float(Tensor),
    Int8(Quantized),
    Nf4(Nf4),
}

/// The arguments of the functions of `matrix.cpp` that describe a matrix.
struct Parts<'a> {
    format: i64,
    values: &'a Tensor,
    scale: Option<&'a Tensor>,
    absmax: Option<&'a Tensor>,
    table: Option<&'a Tensor>,
    offset: f64,
    shape: (i64, i64),
}

impl Matrix {
    /// Converts a matrix of f32 or bf16 numbers.
    pub(crate) fn new(weight: &Tensor, storage: Storage) -> Result<Self, ModelError> {
        Ok(match storage {
            Storage::Float(kind) => Self::Float(weight.f_to_kind(kind)?),
            Storage::Int8 => Self::Int8(Quantized::weights(weight)?),
            Storage::Nf4 { double_quant } => Self::Nf4(Nf4::new(weight, double_quant)?),
        })
    }

    /// Moves the matrix to a device.
    pub(crate) fn on(self, device: tch::Device) -> Result<Self, ModelError> {
        Ok(match self {
            Self::Float(weight) => Self::Float(weight.f_to_device(device)?),
            Self::Int8(Quantized { values, scale }) => {
                Self::Int8(Quantized { values: values.f_to_device(device)?, scale: scale.f_to_device(device)? })
            }
            Self::Nf4(matrix) => Self::Nf4(matrix.on(device)?),
        })
    }

    /// Returns the same matrix, whose numbers are not copied.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Float(weight) => Self::Float(weight.shallow_clone()),
            Self::Int8(Quantized { values, scale }) => {
                Self::Int8(Quantized { values: values.shallow_clone(), scale: scale.shallow_clone() })
            }
            Self::Nf4(matrix) => Self::Nf4(matrix.share()),
        }
    }

    fn parts(&self) -> Result<Parts<'_>, ModelError> {
        let part = |format, values, shape| Parts {
            format,
            values,
            scale: None,
            absmax: None,
            table: None,
            offset: 0.0,
            shape,
        };
        Ok(match self {
            Self::Float(weight) => part(0, weight, weight.size2()?),
            Self::Int8(Quantized { values, scale }) => {
                let shape = values.size2()?;
                check(values.is_contiguous() && scale.size() == [shape.0], "int8: weights without scales")?;
                Parts { scale: Some(scale), ..part(1, values, shape) }
            }
            Self::Nf4(matrix) => {
                let (absmax, table, offset) = matrix.second();
                let first = part(2, &matrix.codes, matrix.shape);
                Parts { scale: Some(&matrix.scale), absmax, table, offset, ..first }
            }
        })
    }

    /// Computes x W^T in the dtype of x. A matrix of another dtype is converted for the product, and again for
    /// its gradient.
    ///
    /// # Shapes
    /// x (tokens, columns) f32 or bf16 -> (tokens, rows).
    pub(crate) fn linear(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let Parts { format, values, scale, absmax, table, offset, shape: (rows, columns) } = self.parts()?;
        let fits = x.size2()?.1 == columns && matches!(x.kind(), Kind::Float | Kind::BFloat16);
        check(fits && x.device() == values.device(), "a stored matrix: input and weight differ")?;
        let (values, mut out) = (values.as_ptr(), null_mut());
        let [scale, absmax, table] = [scale, absmax, table].map(|part| part.map_or(null(), Tensor::as_ptr));
        // SAFETY: live tensors go in, whose sizes are those that the constructors of `Matrix` have made.
        unsafe {
            let x = x.as_ptr();
            let error = llada_matrix_linear(x, format, values, scale, absmax, table, offset, rows, columns, &mut out);
            check_tensor(error, out)
        }
    }

    /// Computes the matrix in `kind`, which is f32 or bf16.
    ///
    /// # Shapes
    /// -> (rows, columns).
    pub(crate) fn dequantize(&self, kind: Kind) -> Result<Tensor, ModelError> {
        if let Self::Float(weight) = self {
            return Ok(weight.f_to_kind(kind)?);
        }
        let Parts { format, values, scale, absmax, table, offset, shape: (rows, columns) } = self.parts()?;
        let (values, bf16, mut out) = (values.as_ptr(), kind == Kind::BFloat16, null_mut());
        let [scale, absmax, table] = [scale, absmax, table].map(|part| part.map_or(null(), Tensor::as_ptr));
        // SAFETY: live tensors go in, whose sizes are those that the constructors of `Matrix` have made.
        unsafe {
            let error =
                llada_matrix_dequantize(format, values, scale, absmax, table, offset, rows, columns, bf16, &mut out);
            check_tensor(error, out)
        }
    }
}

#[cfg(test)]
mod tests;
