//! Conversions between tensors and mapped files, slices and bytes.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::{dtype::stored_kind, shim};
use crate::{ModelError, weights::MappedTensor};

/// Creates a tensor over the bytes of a mapped file. They are copied only if they are not aligned for their type.
///
/// The caller must keep `stored`, and with it the mapping, at least as long as the tensor.
pub(crate) fn map(stored: &MappedTensor) -> Result<Tensor, ModelError> {
    let kind = stored_kind(stored.dtype);
    let shape = sizes(&stored.shape);
    let bytes = stored.bytes();
    if bytes.as_ptr().align_offset(kind.elt_size_in_bytes()) != 0 {
        // `f_from_data_size` copies; `Weights::take` has checked that the bytes fill the shape.
        return Ok(Tensor::f_from_data_size(bytes, &shape, kind)?);
    }
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    // SAFETY: the bytes are aligned, as many as the shape says (safetensors checks it), never written through this
    // tensor (weights are read only), and outlive it (see above).
    Ok(unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &strides, kind, tch::Device::Cpu)? })
}

/// Copies integers to a device. To a GPU they go through page-locked memory, so that nothing waits for the copy.
///
/// # Shapes
/// -> (values) i64.
pub(crate) fn upload(values: &[i64], device: tch::Device) -> Result<Tensor, ModelError> {
    match device {
        tch::Device::Cuda(index) => shim::upload(values, index),
        _ => Ok(Tensor::f_from_slice(values)?.f_to_device(device)?),
    }
}

/// Appends the elements of a tensor on any device to `out`.
pub(crate) fn append(tensor: &Tensor, out: &mut Vec<f32>) -> Result<(), ModelError> {
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let count = tensor.numel();
    // SAFETY: a contiguous f32 tensor in host memory is `count` floats at its data pointer while it lives.
    out.extend_from_slice(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), count) });
    Ok(())
}

/// Returns the bytes of a contiguous tensor in host memory.
pub(crate) fn bytes(tensor: &Tensor) -> Result<&[u8], ModelError> {
    if tensor.device() != tch::Device::Cpu || !tensor.is_contiguous() {
        return Err(tch::TchError::Shape("bytes: the tensor is strided or on a device".to_owned()).into());
    }
    let count = tensor.numel() * tensor.kind().elt_size_in_bytes();
    // SAFETY: a contiguous tensor in host memory is that many bytes at its data pointer while it lives.
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), count) })
}

/// Returns a shape in libtorch's integers.
pub(crate) fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&n| n as i64).collect()
}

/// Returns the rows of a tensor in these ranges, one range after another. The result is a view if there is one range,
/// and a copy otherwise.
pub(crate) fn rows_of(tensor: &Tensor, rows: &[Range<usize>]) -> Result<Tensor, ModelError> {
    let mut parts = Vec::with_capacity(rows.len());
    for range in rows {
        parts.push(tensor.f_narrow(0, range.start as i64, range.len() as i64)?);
    }
    match parts.as_slice() {
        [part] => Ok(part.shallow_clone()),
        parts => Ok(Tensor::f_cat(parts, 0)?),
    }
}
