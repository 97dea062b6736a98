//! The suffix window: what a forward sees of the masks after the block that is being decoded.
//!
//! Attention to the suffix falls with the distance, except for the very end, which tells how long the answer is. So a
//! forward that leaves out the masks in between predicts nearly the same, at a lower cost, as long as the others stay at
//! their positions: Streaming-dLLM ([arXiv 2601.17917](https://arxiv.org/abs/2601.17917)) keeps a window and the last
//! position, DPad ([arXiv 2508.14148](https://arxiv.org/abs/2508.14148)) drops masks of the window at random, the more the
//! farther away they are.
//!
//! ```
//! use llada_core::{rng::Noise, suffix::SuffixWindow};
//!
//! let window = SuffixWindow { window: 3, trailing: 1, dropout: 0.0 };
//! let mut seen = Vec::new();
//! window.extend_seen(8..20, 0, Noise::new(0), &mut seen);
//! assert_eq!(seen, [8, 9, 10, 19]);
//! ```

use std::ops::Range;

use crate::rng::{Domain, Noise};

/// What is seen of a suffix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuffixWindow {
    /// The number of masks right after the block that are seen.
    pub window: usize,
    /// The number of masks at the end of the sequence that are seen in any case.
    pub trailing: usize,
    /// The number k of standard deviations that the end of the window is away from its start: the mask at place i of w is
    /// kept with probability exp(−x²/2) at x = k · i / (w − 1); 0 keeps all of them. In DPad's code it is `sigma`, and
    /// `scale` is √2π here, so that the mask next to the block is always kept.
    pub dropout: f32,
}

impl SuffixWindow {
    /// Appends the positions of `suffix` that are seen while block number `block` is decoded, in ascending order.
    pub fn extend_seen(&self, suffix: Range<usize>, block: usize, noise: Noise, seen: &mut Vec<usize>) {
        let Range { start, end } = suffix;
        let tail = start.max(end.saturating_sub(self.trailing));
        let window_end = tail.min(start.saturating_add(self.window));
        let noise = noise.domain(Domain::Suffix);
        seen.extend((start..window_end).filter(|&position| {
            self.dropout == 0.0
                || noise.stream(0, block as u32, position as u32).at(0) < self.keep_probability(position - start)
        }));
        seen.extend(tail..end);
    }

    fn keep_probability(&self, place: usize) -> f64 {
        let last = self.window.saturating_sub(1).max(1);
        let x = f64::from(self.dropout) * place as f64 / last as f64;
        (-x * x / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(window: SuffixWindow, suffix: Range<usize>, block: usize, seed: u64) -> Vec<usize> {
        let mut seen = Vec::new();
        window.extend_seen(suffix, block, Noise::new(seed), &mut seen);
        seen
    }

    #[test]
    fn windows_and_ends_overlap_in_short_suffixes() {
        let window = |window, trailing| SuffixWindow { window, trailing, dropout: 0.0 };
        assert_eq!(seen(window(2, 0), 5..9, 0, 0), [5, 6]);
        assert_eq!(seen(window(0, 2), 5..9, 0, 0), [7, 8]);
        assert_eq!(seen(window(2, 2), 5..9, 0, 0), [5, 6, 7, 8]);
        assert_eq!(seen(window(3, 2), 5..9, 0, 0), [5, 6, 7, 8]);
        assert_eq!(seen(window(usize::MAX, usize::MAX), 5..9, 0, 0), [5, 6, 7, 8]);
        assert_eq!(seen(window(3, 2), 9..9, 0, 0), [0; 0]);
    }

    /// Every mask of the window is kept as often as its distance says, whatever the others, and the last always.
    #[test]
    fn masks_are_dropped_by_their_distance() {
        let window = SuffixWindow { window: 5, trailing: 1, dropout: 2.0 };
        let blocks = 20_000;
        let mut counts = [0_u32; 9];
        for block in 0..blocks {
            seen(window, 10..19, block, 7).into_iter().for_each(|position| counts[position - 10] += 1);
        }
        for (place, &count) in counts[..5].iter().enumerate() {
            let expected = (-(place as f64 / 2.0).powi(2) / 2.0).exp();
            let found = f64::from(count) / blocks as f64;
            // Five standard deviations of a frequency are at most 5 · √(0.25 / 20 000).
            assert!((found - expected).abs() < 0.018, "{place}: {found} for {expected}");
        }
        assert_eq!((counts[0], counts[8]), (blocks as u32, blocks as u32));
        assert_eq!(counts[5..8], [0; 3]);
        assert_ne!(seen(window, 10..19, 0, 1), seen(window, 10..19, 0, 2));
        assert_eq!(seen(window, 10..19, 3, 1), seen(window, 10..19, 3, 1));
        assert!((0..100).all(|block| seen(window, 10..13, block, 1).ends_with(&[12])));
    }

    #[test]
    fn a_window_of_one_mask_has_no_distance() {
        assert_eq!(seen(SuffixWindow { window: 1, trailing: 0, dropout: 9.0 }, 4..9, 0, 0), [4]);
    }
}
