//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864) in its rotate-half form, in which pair i consists of
//! the elements i and i + half.

use tch::{Device, Kind, Tensor};

use crate::{
    ModelConfig, ModelError,
    torch::{gradient, shim},
};

/// Tables of the cosines and sines of the angles position x theta^(-2i / rotary_dim).
///
/// The tables grow with the longest row so far, because a config may claim a maximum length for which there is no
/// memory.
#[derive(Debug)]
pub(crate) struct Rope {
    /// (rotary_dim / 2) f32.
    frequencies: Tensor,
    /// (length, rotary_dim / 2) f32.
    cos: Tensor,
    sin: Tensor,
    /// The number of positions in the tables.
    length: usize,
    /// The maximum sequence length of the model.
    longest: usize,
    full_precision: bool,
    head_dim: i64,
    /// The number of dimensions of each head that are rotated. They are the first ones.
    rotary_dim: i64,
}

/// The initial number of positions, which is the maximum of LLaDA-8B.
const AT_FIRST: usize = 4096;

impl Rope {
    pub(crate) fn new(config: &ModelConfig, device: Device) -> Result<Self, ModelError> {
        let (head_dim, rotary_dim) = (config.head_dim as i64, config.rotary_dim as i64);
        let options = (Kind::Float, device);
        // The order of operations is the reference's. A difference in the last bit here is a visible angle at position
        // 4000.
        let exponents =
            Tensor::f_arange(rotary_dim / 2, options)?.f_mul_scalar(2.0)?.f_div_scalar(rotary_dim as f64)?;
        let frequencies = Tensor::f_full([1], config.rope_theta, options)?.f_pow(&exponents)?.f_reciprocal()?;
        let longest = config.max_sequence_length;
        let length = longest.min(AT_FIRST);
        let (cos, sin) = tables(&frequencies, length)?;
        let full_precision = config.rope_full_precision;
        Ok(Self { frequencies, cos, sin, length, longest, full_precision, head_dim, rotary_dim })
    }

    /// Returns the addresses of the tables, which change when they are extended.
    pub(crate) fn memory(&self) -> [usize; 2] {
        [&self.cos, &self.sin].map(|table| table.data_ptr() as usize)
    }

    /// Extends the tables to rows of `length` tokens, which is at most the maximum sequence length.
    pub(crate) fn reach(&mut self, length: usize) -> Result<(), ModelError> {
        if length > self.length {
            self.length = length.next_power_of_two().min(self.longest);
            (self.cos, self.sin) = tables(&self.frequencies, self.length)?;
        }
        Ok(())
    }

    /// Rotates each head of each token by its position. The memory of the input is reused if possible.
    ///
    /// # Shapes
    /// x (tokens, heads x head_dim), positions (tokens) i64 -> (tokens, heads x head_dim).
    pub(crate) fn rotate(&self, x: Tensor, positions: &Tensor) -> Result<Tensor, ModelError> {
        if self.rotary_dim == self.head_dim {
            return self.rotate_whole(x, positions);
        }
        let (tokens, width) = x.size2()?;
        let heads = x.f_view([tokens, -1, self.head_dim])?;
        let first = heads.f_narrow(2, 0, self.rotary_dim)?.f_reshape([tokens, -1])?.f_contiguous()?;
        let rotated = self.rotate_whole(first, positions)?.f_view([tokens, -1, self.rotary_dim])?;
        let rest = heads.f_narrow(2, self.rotary_dim, self.head_dim - self.rotary_dim)?;
        Ok(Tensor::f_cat(&[rotated, rest], 2)?.f_view([tokens, width])?)
    }

    /// Rotates heads of which all dimensions are rotated.
    ///
    /// # Shapes
    /// x (tokens, heads x rotary_dim), positions (tokens) i64 -> (tokens, heads x rotary_dim).
    fn rotate_whole(&self, mut x: Tensor, positions: &Tensor) -> Result<Tensor, ModelError> {
        if x.device() == Device::Cpu && (self.full_precision || x.kind() == Kind::Float) {
            if x.requires_grad() {
                return gradient::rotate(x, &self.cos, &self.sin, positions);
            }
            shim::rotate(&mut x, &self.cos, &self.sin, positions)?;
            return Ok(x);
        }
        let half = self.cos.size2()?.1;
        let kind = if self.full_precision { Kind::Float } else { x.kind() };
        let angles = |table: &Tensor| table.f_index_select(0, positions)?.f_unsqueeze(1)?.f_to_kind(kind);
        let (cos, sin) = (angles(&self.cos)?, angles(&self.sin)?);
        let halves = x.f_to_kind(kind)?.f_view([x.size2()?.0, -1, 2, half])?;
        let (low, high) = (halves.f_select(2, 0)?, halves.f_select(2, 1)?);
        let new_low = low.f_mul(&cos)?.f_sub(&high.f_mul(&sin)?)?;
        let new_high = high.f_mul(&cos)?.f_add(&low.f_mul(&sin)?)?;
        let rotated = Tensor::f_stack(&[new_low, new_high], 2)?;
        Ok(rotated.f_to_kind(x.kind())?.f_view(x.size2()?)?)
    }
}

/// Computes the cosines and the sines of the angles of positions from 0 on.
///
/// # Shapes
/// frequencies (pairs) -> (length, pairs) each.
fn tables(frequencies: &Tensor, length: usize) -> Result<(Tensor, Tensor), ModelError> {
    let positions = Tensor::f_arange(length as i64, (Kind::Float, frequencies.device()))?;
    let angles = positions.f_outer(frequencies)?;
    Ok((angles.f_cos()?, angles.f_sin()?))
}
