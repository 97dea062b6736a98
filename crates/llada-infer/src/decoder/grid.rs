//! The times of the solvers of the reverse process. A step of S ends at t = (1 − k/S)^ρ, where k steps have been taken: the
//! grid of EDM (arXiv 2206.00364, eq. 5) between 1 and 0. It is uniform for ρ = 1 and approaches one that is uniform in ln t
//! as ρ grows.
//!
//! What an exact model loses in a step from t to s is the dependence of tokens that are drawn at once. There are as many pairs
//! of masks as t², so with h = (t − s) / t a solver of order p loses about t² h^(p + 1). This is the same in all steps for
//! ρ = 1 if p is 1, and for ρ = 3/2 if p is 2. Jump Your Steps (arXiv 2410.07761) minimises the sum of such losses, which it
//! measures on samples of a model; here the grid is chosen by the exponent alone.

use std::num::NonZeroUsize;

use crate::{InferError, StepContext, error::check_range};

/// The exponents beyond which steps are too small or too large to be told apart from none and all.
const RHO: [f32; 2] = [0.1, 10.0];

/// Returns the times before and after a step, counted from zero.
pub(super) fn times(step: usize, steps: usize, rho: f32) -> [f64; 2] {
    [step, step + 1].map(|taken| (1.0 - taken as f64 / steps as f64).max(0.0).powf(rho.into()))
}

/// Returns the number of steps of the block.
pub(super) fn block_steps(at: &StepContext) -> NonZeroUsize {
    NonZeroUsize::new(at.block_steps).unwrap_or(NonZeroUsize::MIN)
}

/// Refuses an exponent that is out of range.
pub(super) fn check_rho(rho: f32) -> Result<(), InferError> {
    check_range("rho", rho, RHO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_goes_from_one_to_zero() {
        let grid = |rho| [0, 1, 2, 3].map(|step| times(step, 4, rho));
        assert_eq!(grid(1.0), [[1.0, 0.75], [0.75, 0.5], [0.5, 0.25], [0.25, 0.0]]);
        assert_eq!(grid(2.0), [[1.0, 0.5625], [0.5625, 0.25], [0.25, 0.0625], [0.0625, 0.0]]);
        for rho in [0.0, -1.0, 1e-3, 11.0, f32::NAN, f32::INFINITY] {
            assert!(check_rho(rho).is_err());
        }
    }
}
