//! Keys and values that a row keeps from one forward to the next.
//!
//! Keys are kept rotated. A forward over part of the row writes its keys and values into their places, so attention reads
//! one stretch of memory and nothing is concatenated. A row may grow: its memory then doubles, so that a row that grows
//! block by block is copied a bounded number of times.

use tch::Tensor;

use super::packing::Span;
use crate::ModelError;

/// The keys and values of one row, by layer.
#[derive(Debug)]
pub(crate) struct KvCache {
    /// Tokens of the row.
    pub(crate) length: usize,
    /// (capacity, kv heads x head_dim) each, capacity at least `length`; filled by the first forward, which is over the
    /// whole row.
    layers: Vec<[Tensor; 2]>,
}

impl KvCache {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, layers: Vec::new() }
    }

    /// The cache of the same row after it has grown to `length`.
    pub(crate) fn of_length(self, length: usize) -> Self {
        Self { length, ..self }
    }

    /// Whether all of the model's `layers` are filled. Those of a row whose first forward failed are not.
    pub(crate) fn is_filled(&self, layers: usize) -> bool {
        self.layers.len() == layers
    }

    /// Puts the keys and values of the computed tokens of `span` in their places, and gives those of the whole row,
    /// then those of the shadows, which are not kept.
    ///
    /// # Shapes
    /// (tokens + shadows, kv heads x head_dim) each -> (length + shadows, kv heads x head_dim) each.
    pub(crate) fn update(
        &mut self,
        layer: usize,
        span: &Span,
        computed: [Tensor; 2],
    ) -> Result<[Tensor; 2], ModelError> {
        let tokens = span.length - span.shadows;
        let [k, v] = computed.each_ref().map(|computed| computed.f_narrow(0, 0, tokens));
        let of_tokens = [k?, v?];
        if layer == self.layers.len() {
            self.layers.push(of_tokens);
            return Ok(computed);
        }
        let length = self.length as i64;
        for (cached, of_tokens) in self.layers[layer].iter_mut().zip(&of_tokens) {
            grow(cached, length)?;
            cached.f_narrow(0, span.first, tokens)?.f_copy_(of_tokens)?;
        }
        let [k, v] = self.layers[layer].each_ref().map(|cached| cached.f_narrow(0, 0, length));
        let (k, v) = (k?, v?);
        if span.shadows == 0 {
            return Ok([k, v]);
        }
        let [k_shadow, v_shadow] = computed.map(|computed| computed.f_narrow(0, tokens, span.shadows));
        Ok([Tensor::f_cat(&[k, k_shadow?], 0)?, Tensor::f_cat(&[v, v_shadow?], 0)?])
    }
}

/// Makes room for `length` tokens.
///
/// # Shapes
/// cached (capacity, width) -> (at least length, width).
fn grow(cached: &mut Tensor, length: i64) -> Result<(), ModelError> {
    let (capacity, width) = cached.size2()?;
    if capacity < length {
        let larger = Tensor::f_empty([length.max(2 * capacity), width], (cached.kind(), cached.device()))?;
        larger.f_narrow(0, 0, capacity)?.f_copy_(cached)?;
        *cached = larger;
    }
    Ok(())
}
