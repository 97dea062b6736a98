//! How many tokens each step of a block commits: `get_num_transfer_tokens` of LLaDA's
//! `generate.py`.
//!
//! The linear schedule makes the expected number of tokens that leave the mask the same for every
//! step.

use std::num::NonZeroUsize;

/// Shares `masked` tokens out among `steps`: $\lfloor n/S \rfloor$ each, and one more for the first
/// $n \bmod S$.
///
/// The shares sum to `masked` and never increase; with more steps than tokens the last ones are
/// zero.
///
/// ```
/// use llada_core::transfer::num_transfer_tokens;
/// use std::num::NonZeroUsize;
///
/// let steps = NonZeroUsize::new(4).unwrap();
/// assert_eq!(num_transfer_tokens(10, steps), [3, 3, 2, 2]);
/// ```
pub fn num_transfer_tokens(masked: usize, steps: NonZeroUsize) -> Vec<usize> {
    let (share, rest) = (masked / steps, masked % steps);
    (0..steps.get()).map(|step| share + usize::from(step < rest)).collect()
}
