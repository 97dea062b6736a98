//! The schedule by diffusion time that Dream and SMDM share: with evenly spaced times t₀ = 1 … t_S = ε, step i of S
//! commits ⌊n(1 − tᵢ₊₁/tᵢ)⌋ of the n remaining masks, and the last step commits all of them.
//!
//! Because of ε the product lies just below an integer where one token per step is due, so the arithmetic matters: it is
//! that of `torch.linspace` in f32.

use std::num::NonZeroUsize;

/// Returns the number of tokens that each of `steps` commits of `masked` masks.
pub(super) fn schedule(masked: usize, steps: NonZeroUsize, eps: f32) -> Vec<usize> {
    let mut schedule = Vec::with_capacity(steps.get());
    let mut left = masked;
    for step in 0..steps.get() {
        let count = (left as f32 * transferred(step, steps, eps)) as usize;
        schedule.push(count.min(left));
        left -= schedule[step];
    }
    schedule
}

/// Returns the share 1 − tᵢ₊₁/tᵢ of the masks that a step, counted from zero, commits; 1 in the last step.
pub(super) fn transferred(step: usize, steps: NonZeroUsize, eps: f32) -> f32 {
    if step + 1 >= steps.get() {
        return 1.0;
    }
    1.0 - time(step + 1, steps, eps) / time(step, steps, eps)
}

/// Returns the time before a step: `torch.linspace(1, eps, steps + 1)`, which counts from both ends.
fn time(step: usize, steps: NonZeroUsize, eps: f32) -> f32 {
    let steps = steps.get();
    let width = (eps - 1.0) / steps as f32;
    if step < steps.div_ceil(2) { 1.0 + width * step as f32 } else { eps - width * (steps - step) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_per_step_begins_with_none_and_ends_with_two() {
        let counts = schedule(32, NonZeroUsize::new(32).unwrap(), 1e-3);
        assert_eq!((counts[0], counts[31]), (0, 2));
        assert!(counts[1..31].iter().all(|&count| count == 1));
        assert_eq!(counts.iter().sum::<usize>(), 32);
    }
}
