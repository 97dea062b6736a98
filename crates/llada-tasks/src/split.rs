//! The split into training and held-out questions, by a keyed hash of their content.

use llada_core::rng::{Domain, Noise};

/// A split of the questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The questions for training.
    Train,
    /// The questions for evaluation, which never occur in training.
    HeldOut,
}

/// The fraction of the questions that is held out.
const HELD_OUT: f64 = 0.1;

/// The key of the hash. It is a constant and not the seed, so that the split is the same for all seeds.
const KEY: u64 = 0x4c4c_6144_412d_7431;

impl Split {
    /// Returns the split that the question with this canonical `content` belongs to.
    pub fn of(content: &str) -> Self {
        let noise = Noise::new(KEY).domain(Domain::Task);
        if noise.stream(hash(content), 0, 0).uniform() < HELD_OUT { Self::HeldOut } else { Self::Train }
    }
}

/// Returns the 64-bit [FNV-1a](http://www.isthe.com/chongo/tech/comp/fnv/) hash, which unlike the standard library's is the
/// same in every release of the compiler.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_known_answers() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(hash(text), expected);
        }
    }

    #[test]
    fn a_tenth_is_held_out() {
        let held_out = (0..10_000).filter(|i| Split::of(&i.to_string()) == Split::HeldOut).count();
        // Five standard deviations of a binomial count around 1000.
        assert!(held_out.abs_diff(1000) < 150, "{held_out}");
    }
}
