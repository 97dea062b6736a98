//! Permutations of any length in constant memory: the order of billions of rows, of which any place can be asked for.
//!
//! A Feistel network over a domain of 4ᵏ numbers, with Philox as its round function, is a bijection that the key
//! selects. Numbers that it leads out of `0..len` are led on until they are back inside (cycle walking,
//! [Black & Rogaway, 2002](https://doi.org/10.1007/3-540-45760-7_9)), so what is left is a bijection of `0..len`.

use crate::rng::{Stream, philox};

/// The rounds of the network. Four make it pseudorandom
/// ([Luby & Rackoff, 1988](https://doi.org/10.1137/0217022)); small domains need more.
const ROUNDS: u32 = 8;

/// Half the bits of the smallest domain. The key of a smaller one would select few permutations.
const LEAST_HALF: u32 = 4;

/// A random permutation of `0..len`.
///
/// ```
/// use llada_core::{permutation::Permutation, rng::{Domain, Noise}};
///
/// let epoch = Noise::new(0).domain(Domain::Shuffle).stream(3, 0, 0);
/// let order = Permutation::new(1_000_000_000_000, &epoch);
/// assert_ne!(order.at(0), order.at(1));
/// ```
#[derive(Debug, Clone)]
pub struct Permutation {
    len: u64,
    /// Half the bits of a number of the domain.
    half: u32,
    key: [u32; 2],
}

impl Permutation {
    /// Creates the permutation of `0..len` that `stream` selects.
    pub fn new(len: u64, stream: &Stream) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Self { len, half: bits.div_ceil(2).max(LEAST_HALF), key: stream.key() }
    }

    /// Returns the number at place `index`, which must be below the length.
    pub fn at(&self, index: u64) -> u64 {
        debug_assert!(index < self.len, "{index} of {}", self.len);
        let mut number = self.network(index);
        // Ends, since a bijection leads back to where it began at last, and that is inside.
        while number >= self.len {
            number = self.network(number);
        }
        number
    }

    fn network(&self, number: u64) -> u64 {
        let mask = (1_u64 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for round in 0..ROUNDS {
            // Halves have at most 32 bits.
            let [word, ..] = philox([right as u32, round, 0, 0], self.key);
            (left, right) = (right, left ^ (u64::from(word) & mask));
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Domain, Noise};

    fn permutation(len: u64, seed: u64) -> Permutation {
        Permutation::new(len, &Noise::new(seed).domain(Domain::Shuffle).stream(0, 0, 0))
    }

    #[test]
    fn every_number_comes_once() {
        for len in [0, 1, 2, 3, 7, 255, 256, 257, 4097, 65_536] {
            let order = permutation(len, len);
            let mut all: Vec<u64> = (0..len).map(|index| order.at(index)).collect();
            assert!(len < 7 || !all.is_sorted(), "{len}");
            all.sort_unstable();
            assert_eq!(all, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn lengths_that_no_memory_holds_have_an_order() {
        for len in [1_u64 << 40, (1 << 40) + 1, u64::MAX] {
            let order = permutation(len, 1);
            let mut some: Vec<u64> = (0..1000).chain(len - 1000..len).map(|index| order.at(index)).collect();
            assert!(some.iter().all(|&number| number < len));
            some.sort_unstable();
            some.dedup();
            assert_eq!(some.len(), 2000, "{len}");
            // Spread over the whole: the mean of 2000 numbers is off by 5 standard deviations at most.
            let mean = some.iter().map(|&number| number as f64 / len as f64).sum::<f64>() / 2000.0;
            assert!((mean - 0.5).abs() < 5.0 / (12.0_f64 * 2000.0).sqrt(), "{mean}");
        }
    }

    /// Each of the 24 orders of 4 numbers is as likely as any other, within five standard deviations; so are, of 300, the
    /// differences of neighbours.
    #[test]
    fn all_orders_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..24_000 {
            let order = permutation(4, seed);
            *counts.entry([0, 1, 2, 3].map(|index| order.at(index))).or_insert(0_i64) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| (count - 1000).abs() < 155), "{counts:?}");

        let mut ascents = 0_i64;
        for seed in 0..1000 {
            let order = permutation(300, seed);
            ascents += (1..300).filter(|&index| order.at(index - 1) < order.at(index)).count() as i64;
        }
        // The number of ascents of n numbers has the mean (n - 1) / 2 and the variance (n + 1) / 12.
        let (mean, deviation) = (1000.0 * 149.5, (1000.0 * 301.0 / 12.0_f64).sqrt());
        assert!((ascents as f64 - mean).abs() < 5.0 * deviation, "{ascents}");
    }
}
