//! Stateless noise: the counter-based generator Philox4x32-10
//! ([Parallel Random Numbers: As Easy as 1, 2, 3](https://doi.org/10.1145/2063384.2063405), Salmon
//! et al., 2011).
//!
//! A draw is a pure function of its purpose: the seed, the [`Domain`], and the sample, step, position
//! and lane it belongs to. It does not depend on the order of evaluation, the number of threads, or
//! the other rows of a batch.
//!
//! ```
//! use llada_core::rng::{Domain, Noise};
//!
//! let noise = Noise::new(1234).domain(Domain::Token);
//! let mut stream = noise.stream(0, 7, 42); // sample 0, step 7, position 42
//! assert_eq!(stream.at(0), stream.uniform());
//! assert_ne!(stream.at(0), noise.stream(0, 7, 43).at(0));
//! ```

/// The purpose of noise. The domains of one seed are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Domain {
    /// The choice of a token (Gumbel noise).
    Token = 1,
    /// The choice of the positions to commit (random remasking).
    Order,
    /// The time `t` of a sequence, or its number of masked tokens.
    Time,
    /// The independent choice of each token to mask.
    Mask,
    /// Permutations.
    Shuffle,
    /// The initial weights of training.
    Weight,
    /// The random truncation of training batches.
    Length,
    /// The examples of a task, and the choice of those that are held out.
    Task,
    /// The elements of activations that are dropped in training.
    Dropout,
    /// The choice of the answer of a conversation that is learned.
    Turn,
    /// The masks of a suffix window that are dropped.
    Suffix,
}

/// A seed together with the purpose of its noise.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    seed: u64,
    /// A [`Domain`], or 0 before one is chosen.
    domain: u32,
}

impl Noise {
    /// Creates noise from `seed`, with no domain chosen yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, domain: 0 }
    }

    /// Returns the noise of the same seed for `domain`.
    pub fn domain(self, domain: Domain) -> Self {
        Self { domain: domain as u32, ..self }
    }

    /// Returns the numbers that belong to one position of one sample (a request or a row) at one step.
    pub fn stream(&self, sample: u64, step: u32, position: u32) -> Stream {
        // Seed and sample have 64 bits each. Together with domain, step, position and lane that is
        // more than Philox's 64-bit key and 128-bit counter can hold. So a first application hashes
        // the seed, the domain and the upper half of the sample into the key.
        let [low, high] = halves(sample);
        let [key0, key1, ..] = philox([self.domain, high, 0, 0], halves(self.seed));
        Stream { key: [key0, key1], counter: [position, step, low], next: 0 }
    }
}

/// The noise of one (sample, step, position): a sequence of numbers that also allows random access.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    /// Position, step, and the lower half of the sample. The fourth word of Philox's counter is the
    /// pair of lanes.
    counter: [u32; 3],
    /// The lane that [`uniform`](Self::uniform) reads next.
    next: u32,
}

impl Stream {
    /// Returns the next number, uniform in (0, 1). It is an odd multiple of 2⁻⁵³, hence never 0 or 1.
    pub fn uniform(&mut self) -> f64 {
        unit(self.next_word())
    }

    /// Returns the number of `lane`, uniform in (0, 1), independently of what was drawn before: `at(n)`
    /// is what the n-th call of [`uniform`](Self::uniform) on a fresh stream returns, counted from zero.
    pub fn at(&self, lane: u32) -> f64 {
        unit(self.words(lane / 2)[lane as usize % 2])
    }

    /// Returns the numbers of lanes `2 * pair` and `2 * pair + 1`, at the cost of one.
    pub(crate) fn pair(&self, pair: u32) -> [f64; 2] {
        self.words(pair).map(unit)
    }

    /// Returns an integer that is uniform in `0..n`, without bias
    /// ([Lemire, 2019](https://doi.org/10.1145/3230636)); 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        loop {
            // The high word of the product is the draw. It is biased only if the low word is less
            // than 2⁶⁴ mod n, so such draws are rejected.
            let product = u128::from(self.next_word()) * u128::from(n);
            let fraction = product as u64;
            // The first test nearly always succeeds and avoids the division.
            if fraction >= n || fraction >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Puts `items` into a random order, each with the same probability, by the method of Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// Fills `out` with integers that are uniform in 0..2¹⁶, eight at the cost of two numbers. They are other digits of the
    /// numbers that [`at`](Self::at) returns, so a stream should be read in one way only.
    pub fn fill(&self, out: &mut [u16]) {
        for (pair, out) in out.chunks_mut(8).enumerate() {
            let words = self.words(pair as u32);
            for (index, out) in out.iter_mut().enumerate() {
                *out = (words[index / 4] >> (index % 4 * 16)) as u16;
            }
        }
    }

    /// Returns a key for another use of Philox. It is the number of a lane that nothing else reads.
    pub(crate) fn key(&self) -> [u32; 2] {
        halves(self.words(u32::MAX)[0])
    }

    fn next_word(&mut self) -> u64 {
        let word = self.words(self.next / 2)[self.next as usize % 2];
        self.next = self.next.wrapping_add(1);
        word
    }

    fn words(&self, pair: u32) -> [u64; 2] {
        let [position, step, sample] = self.counter;
        let [a, b, c, d] = philox([pair, position, step, sample], self.key);
        [word(a, b), word(c, d)]
    }
}

fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

fn word(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn unit(word: u64) -> f64 {
    const ULP: f64 = 1.0 / (1_u64 << 53) as f64;
    // The conversion is from a signed integer, because every processor has an instruction for that.
    ((word >> 11) | 1) as i64 as f64 * ULP
}

/// Applies ten rounds of the bijection that `key` selects.
///
/// It is inlined so that its words stay in registers, which halves the cost of a Gumbel-max sample.
#[inline(always)]
pub(crate) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let [low0, high0] = halves(MULTIPLIERS[0] * u64::from(counter[0]));
        let [low1, high1] = halves(MULTIPLIERS[1] * u64::from(counter[2]));
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors of the authors' Random123 library.
    #[test]
    fn philox_known_answers() {
        let ones = u32::MAX;
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn units_stay_inside() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) < 1.0);
    }

    #[test]
    fn every_coordinate_counts() {
        let draw =
            |seed, domain, sample, step, position| Noise::new(seed).domain(domain).stream(sample, step, position).at(0);
        let base = draw(0, Domain::Token, 0, 0, 0);
        for other in [
            draw(1 << 40, Domain::Token, 0, 0, 0),
            draw(0, Domain::Order, 0, 0, 0),
            draw(0, Domain::Token, 1, 0, 0),
            draw(0, Domain::Token, 1 << 32, 0, 0),
            draw(0, Domain::Token, 0, 1, 0),
            draw(0, Domain::Token, 0, 0, 1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn filled_integers_are_the_digits_of_the_words() {
        let stream = Noise::new(3).domain(Domain::Dropout).stream(1, 2, 3);
        let mut digits = [0_u16; 19];
        stream.fill(&mut digits);
        let word = |index: u32| stream.words(index / 2)[index as usize % 2];
        for (index, digit) in digits.into_iter().enumerate() {
            assert_eq!(u64::from(digit), word(index as u32 / 4) >> (index % 4 * 16) & 0xffff);
        }
    }

    #[test]
    fn below_is_uniform() {
        let mut stream = Noise::new(3).stream(0, 0, 0);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6) as usize] += 1;
        }
        // Five standard deviations of a binomial count around 10 000.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 457), "{counts:?}");
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }
}
