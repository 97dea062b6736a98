//! How far values move from those that a KV cache held, as a sign of how stale the rest of the cache has become.
//!
//! dLLM-Cache (arXiv 2506.06295) and d2Cache (arXiv 2509.23094) measure it by the same similarity.

use tch::{Kind, Tensor};

use crate::{ModelError, torch::tensor::upload};

/// The measurement of one row in one forward.
#[derive(Debug)]
pub(crate) struct Drift {
    /// The positions in the row whose values are compared, (positions) i64.
    positions: Tensor,
    /// The mean similarity of each layer so far, () f32 each.
    similarities: Vec<Tensor>,
}

impl Drift {
    /// Begins to measure at `positions`, of which there is at least one.
    pub(crate) fn new(positions: &[usize], device: tch::Device) -> Result<Self, ModelError> {
        let positions: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
        Ok(Self { positions: upload(&positions, device)?, similarities: Vec::new() })
    }

    /// Compares the values of a layer.
    ///
    /// # Shapes
    /// kept (all positions of the row or more, width), computed (those from position `first` on, width).
    pub(crate) fn compare(&mut self, kept: &Tensor, computed: &Tensor, first: i64) -> Result<(), ModelError> {
        let kept = kept.f_index_select(0, &self.positions)?.f_to_kind(Kind::Float)?;
        let computed = computed.f_index_select(0, &self.positions.f_sub_scalar(first)?)?.f_to_kind(Kind::Float)?;
        let similarity = Tensor::f_cosine_similarity(&kept, &computed, 1, 1e-8)?;
        self.similarities.push(similarity.f_mean(Kind::Float)?);
        Ok(())
    }

    /// Returns one minus the mean similarity, or None if there was nothing to compare with.
    ///
    /// # Shapes
    /// -> () f32.
    pub(crate) fn finish(self) -> Result<Option<Tensor>, ModelError> {
        if self.similarities.is_empty() {
            return Ok(None);
        }
        Ok(Some(Tensor::f_stack(&self.similarities, 0)?.f_mean(Kind::Float)?.f_neg()?.f_add_scalar(1.0)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_one_minus_the_mean_similarity() -> Result<(), ModelError> {
        // Values at positions 0 to 3, and computed ones from position 1 on; positions 1 and 3 are compared.
        let kept = Tensor::from_slice(&[9.0_f32, 9.0, 1.0, 0.0, 9.0, 9.0, 3.0, 4.0]).view([4, 2]);
        let turned = Tensor::from_slice(&[0.0_f32, 2.0, 7.0, 7.0, 6.0, 8.0]).view([3, 2]);
        let opposite = Tensor::from_slice(&[-1.0_f32, 0.0, 7.0, 7.0, -3.0, -4.0]).view([3, 2]);
        let mut drift = Drift::new(&[1, 3], tch::Device::Cpu)?;
        assert!(Drift::new(&[1, 3], tch::Device::Cpu)?.finish()?.is_none());
        // A right angle and none; then two straight angles.
        drift.compare(&kept, &turned, 1)?;
        drift.compare(&kept, &opposite, 1)?;
        let found = drift.finish()?.map(|drift| drift.double_value(&[]));
        assert!(found.is_some_and(|found| (found - (1.0 - (0.5 - 1.0) / 2.0)).abs() < 1e-6), "{found:?}");
        Ok(())
    }
}
