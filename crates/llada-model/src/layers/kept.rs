//! Keys and values that a row keeps from one forward to the next.
//!
//! Keys are kept rotated. A forward over part of the row writes its keys and values into their places, so attention reads
//! one stretch of memory and nothing is concatenated.

use tch::Tensor;

use crate::ModelError;

/// The keys and values of one row, by layer.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Tokens of the row.
    pub(crate) length: usize,
    /// (length, kv heads x head_dim) each; filled by the first forward, which is over the whole row.
    layers: Vec<[Tensor; 2]>,
}

impl Kept {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, layers: Vec::new() }
    }

    /// Puts the keys and values of the positions from `first` on in their places, and gives those of the whole row.
    ///
    /// # Shapes
    /// (tokens, kv heads x head_dim) each -> (length, kv heads x head_dim) each.
    pub(crate) fn update(&mut self, layer: usize, first: i64, fresh: [Tensor; 2]) -> Result<[Tensor; 2], ModelError> {
        if layer == self.layers.len() {
            self.layers.push(fresh);
        } else {
            for (kept, fresh) in self.layers[layer].iter().zip(&fresh) {
                kept.f_narrow(0, first, fresh.size()[0])?.f_copy_(fresh)?;
            }
        }
        Ok(self.layers[layer].each_ref().map(Tensor::shallow_clone))
    }
}
