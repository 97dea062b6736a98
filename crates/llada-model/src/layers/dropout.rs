//! The dropout of an adapter's input (Srivastava et al. 2014), by noise that is keyed by token and layer. So what is
//! dropped depends neither on the division of a batch nor on how often a block is computed.

use std::sync::Arc;

use llada_core::rng::{Domain, Noise};
use tch::Tensor;

use crate::ModelError;

/// The elements of the inputs of one layer that are dropped in one step.
#[derive(Debug, Clone)]
pub(crate) struct Dropout {
    /// The dropout of all layers.
    pub(crate) step: DropoutStep,
    /// The number of the layer among those with adapters.
    pub(crate) layer: u32,
    /// The number of tokens of each row of the batch.
    pub(crate) row_lengths: Arc<[usize]>,
}

/// The dropout of a step of training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropoutStep {
    pub(crate) p: f64,
    pub(crate) noise: Noise,
    pub(crate) step: u32,
    /// The number of the batch's first row among all rows of the step.
    pub(crate) first_row: usize,
}

impl Dropout {
    /// Drops elements of the activations of all tokens of the batch, and scales up the others.
    ///
    /// # Shapes
    /// x (tokens, in) -> (tokens, in).
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let DropoutStep { p, noise, step, first_row } = self.step;
        let noise = noise.domain(Domain::Dropout);
        let (tokens, width) = x.size2()?;
        // The probability in units of the numbers that are drawn.
        let threshold = (p * 65536.0).round() as u16;
        let mut kept = vec![0_u8; (tokens * width) as usize];
        let mut drawn = vec![0_u16; width as usize];
        let rows = (first_row as u64..).zip(self.row_lengths.iter());
        let places = rows.flat_map(|(row, &length)| (0..length as u32).map(move |position| (row, position)));
        for ((row, position), kept) in places.zip(kept.chunks_mut(width as usize)) {
            noise.stream(u64::from(self.layer) << 32 | row, step, position).fill(&mut drawn);
            for (kept, &drawn) in kept.iter_mut().zip(&drawn) {
                *kept = u8::from(drawn >= threshold);
            }
        }
        let kept = Tensor::f_from_slice(&kept)?.f_view([tokens, width])?.f_to_device(x.device())?;
        let share = 1.0 - f64::from(threshold) / 65536.0;
        Ok(x.f_mul(&kept.f_to_kind(x.kind())?)?.f_div_scalar(share)?)
    }
}
