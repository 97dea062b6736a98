//! Matrices in four bits, as QLoRA stores them (Dettmers et al. 2023, arXiv 2305.14314): 64 consecutive weights, in
//! row-major order and across rows, share a scale, the largest of their magnitudes; each is the nearest of 16 levels.
//!
//! With double quantisation the scales, less their mean, are in eight bits: 256 consecutive ones share a scale, and each
//! is the nearest of 256 levels, a tree of decimal exponents with linear fractions (Dettmers 2015, arXiv 1511.04561). The
//! bits are those of bitsandbytes 0.50.

use std::{ffi::c_char, ptr::null_mut};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::{
    ModelError,
    torch::shim::{check_status, check_tensor},
};

unsafe extern "C" {
    fn llada_matrix_to_nf4(x: *const C_tensor, codes: *mut *mut C_tensor, absmax: *mut *mut C_tensor) -> *mut c_char;
}

/// The number of scales that share a scale of their own.
const BLOCK_OF_SCALES: i64 = 256;

/// A matrix in NF4.
#[derive(Debug)]
pub(crate) struct Nf4 {
    /// Two codes in each byte of u8, the first in its upper half.
    pub(super) codes: Tensor,
    /// (blocks): the scales in f32, or their codes in u8.
    pub(super) scale: Tensor,
    second: Option<Second>,
    pub(super) shape: (i64, i64),
}

/// What the codes of scales stand for.
#[derive(Debug)]
struct Second {
    /// (blocks of scales) f32.
    absmax: Tensor,
    /// (256) f32: the levels.
    table: Tensor,
    /// The mean of all scales.
    offset: f64,
}

impl Nf4 {
    /// Quantises a matrix of f32 or bf16 numbers on the CPU.
    pub(crate) fn new(weight: &Tensor, double_quant: bool) -> Result<Self, ModelError> {
        let shape = weight.size2()?;
        let exact = weight.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let (mut codes, mut scale) = (null_mut(), null_mut());
        // SAFETY: a live contiguous f32 tensor goes in; without an error both pointers are owned tensors.
        let (codes, scale) = unsafe {
            check_status(llada_matrix_to_nf4(exact.as_ptr(), &mut codes, &mut scale))?;
            (check_tensor(null_mut(), codes)?, check_tensor(null_mut(), scale)?)
        };
        if !double_quant {
            return Ok(Self { codes, scale, second: None, shape });
        }
        let (scale, second) = Second::of(&scale)?;
        Ok(Self { codes, scale, second: Some(second), shape })
    }

    pub(super) fn on(self, device: Device) -> Result<Self, ModelError> {
        let second = match self.second {
            None => None,
            Some(Second { absmax, table, offset }) => {
                Some(Second { absmax: absmax.f_to_device(device)?, table: table.f_to_device(device)?, offset })
            }
        };
        let (codes, scale) = (self.codes.f_to_device(device)?, self.scale.f_to_device(device)?);
        Ok(Self { codes, scale, second, shape: self.shape })
    }

    pub(super) fn share(&self) -> Self {
        let second = self.second.as_ref().map(|Second { absmax, table, offset }| Second {
            absmax: absmax.shallow_clone(),
            table: table.shallow_clone(),
            offset: *offset,
        });
        Self { codes: self.codes.shallow_clone(), scale: self.scale.shallow_clone(), second, shape: self.shape }
    }

    /// The scales of scales, their levels and their mean, if they are in eight bits.
    pub(super) fn second(&self) -> (Option<&Tensor>, Option<&Tensor>, f64) {
        match &self.second {
            None => (None, None, 0.0),
            Some(Second { absmax, table, offset }) => (Some(absmax), Some(table), *offset),
        }
    }
}

impl Second {
    /// Quantises scales, and returns their codes.
    ///
    /// # Shapes
    /// scale (blocks) f32 -> (blocks) u8.
    fn of(scale: &Tensor) -> Result<(Tensor, Self), ModelError> {
        let blocks = scale.size1()?;
        let mean = scale.f_mean(Kind::Float)?;
        let centred = scale.f_sub(&mean)?;
        let missing = (BLOCK_OF_SCALES - blocks % BLOCK_OF_SCALES) % BLOCK_OF_SCALES;
        let by_block = centred.f_constant_pad_nd([0, missing])?.f_view([-1, BLOCK_OF_SCALES])?;
        let absmax = by_block.f_abs()?.f_amax([1], false)?;
        // Scales that are all equal are their mean, whatever they are divided by.
        let divisor = absmax.f_clamp_min(f64::from(f32::MIN_POSITIVE))?.f_unsqueeze(1)?;
        let unit = by_block.f_div(&divisor)?.f_view([-1])?.f_narrow(0, 0, blocks)?;
        let levels = levels();
        let middles: Vec<f32> = levels.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        let codes = unit.f_bucketize(&Tensor::f_from_slice(&middles)?, true, false)?.f_to_kind(Kind::Uint8)?;
        let table = Tensor::f_from_slice(&levels)?;
        Ok((codes, Self { absmax, table, offset: mean.f_double_value(&[])? }))
    }
}

/// The 256 levels, ascending. A level has a sign, a decimal exponent from −6 to 0, and as fraction the middle of one of
/// 2^(exponent + 6) equal parts of 0.1 to 1; there are 0 and 1 beside them. The order of operations is that of
/// `create_dynamic_map` in bitsandbytes on libtorch's `linspace`, which counts from both ends.
fn levels() -> Vec<f32> {
    let mut levels = vec![0.0, 1.0];
    for exponent in 0..7_i32 {
        let parts = 1 << exponent;
        let step = (1.0 - 0.1_f32) / parts as f32;
        let bound = |index: i32| {
            let is_low = index < (parts + 1) / 2;
            if is_low { step.mul_add(index as f32, 0.1) } else { step.mul_add(-(parts - index) as f32, 1.0) }
        };
        for index in 0..parts {
            let level = 10_f64.powi(exponent - 6) as f32 * ((bound(index) + bound(index + 1)) / 2.0);
            levels.extend([level, -level]);
        }
    }
    levels.sort_by(f32::total_cmp);
    levels
}

#[cfg(test)]
mod tests;
