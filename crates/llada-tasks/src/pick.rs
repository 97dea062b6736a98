//! Random choices from a stream of noise.

use llada_core::rng::Stream;

/// Draws one of `from`.
pub(crate) fn one<'a, T>(stream: &mut Stream, from: &'a [T]) -> &'a T {
    &from[stream.below(from.len() as u64) as usize]
}

/// Draws `count` of `from` without replacement, in random order.
pub(crate) fn several<T: Clone>(stream: &mut Stream, from: &[T], count: usize) -> Vec<T> {
    let mut items = from.to_vec();
    for i in 0..count {
        let other = i + stream.below((items.len() - i) as u64) as usize;
        items.swap(i, other);
    }
    items.truncate(count);
    items
}

/// Returns `items` in random order.
pub(crate) fn shuffled<T: Clone>(stream: &mut Stream, items: &[T]) -> Vec<T> {
    several(stream, items, items.len())
}

/// Draws one of `wordings` and replaces its `{}` with `text`.
pub(crate) fn worded(stream: &mut Stream, wordings: &[&str], text: &str) -> String {
    one(stream, wordings).replace("{}", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llada_core::rng::Noise;

    #[test]
    fn several_are_distinct_and_equally_probable() {
        let mut counts = [0_u32; 5];
        for sample in 0..10_000 {
            let mut picked = several(&mut Noise::new(1).stream(sample, 0, 0), &[0, 1, 2, 3, 4], 2);
            picked.iter().for_each(|&item: &usize| counts[item] += 1);
            picked.dedup();
            assert_eq!(picked.len(), 2);
        }
        // Five standard deviations of a binomial count around 4000.
        assert!(counts.iter().all(|&count| count.abs_diff(4000) < 245), "{counts:?}");
    }
}
