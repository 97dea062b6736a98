//! The rows of a batch that pass through the layers together.

use llada_core::predictor::Row;

/// The number of tokens up to which rows pass through the layers together on a CPU.
///
/// A token takes the less time the more there are, but with more than these little was gained, and in f32 some was lost (on a
/// Xeon without AMX). What is computed at once is in memory at once, besides.
const FEW: usize = 256;

/// Returns the number of tokens up to which rows pass through the layers together, or `None` if it has no limit, as on a
/// GPU. On a CPU it is 0, so that each row is alone, unless the products round a row in company as they do alone.
pub(super) fn most_together(device: tch::Device, rounds_rows_alone: bool) -> Option<usize> {
    (device == tch::Device::Cpu).then_some(if rounds_rows_alone { FEW } else { 0 })
}

/// Returns the rows of `batch` that have wanted positions, in the groups that pass through the layers together, one group
/// after the other: consecutive rows of at most `most` computed tokens, or one row of any number.
pub(super) fn groups(batch: &[Row<'_>], most: Option<usize>) -> Vec<Vec<usize>> {
    let computed = batch.iter().map(Row::computed_tokens).enumerate().filter(|&(_, tokens)| tokens > 0);
    let Some(most) = most else { return vec![computed.map(|(row, _)| row).collect()] };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (row, tokens) in computed {
        // A single token is alone: oneDNN has a kernel for it that rounds differently.
        let taken = if tokens == 1 { usize::MAX } else { tokens };
        match groups.last_mut() {
            Some(group) if taken <= room => {
                group.push(row);
                room -= taken;
            }
            _ => {
                groups.push(vec![row]);
                room = most.saturating_sub(taken);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use llada_core::predictor::Recompute;

    use super::*;

    #[test]
    fn groups_are_as_large_as_they_may_be() {
        let ids = [0; 40];
        let wanted: Vec<usize> = (10..20).collect();
        let whole = Row::new(&ids, &wanted);
        let none = Row::new(&ids, &[]);
        let block = Row { recompute: Recompute::Span(10..20), ..Row::new(&ids, &wanted) };
        let token = Row { recompute: Recompute::Span(10..11), ..Row::new(&ids, &wanted[..1]) };
        let shadowed = Row { shadowed: true, ..block.clone() };
        let batch = [&block, &block, &none, &block, &whole, &none, &shadowed, &block, &token, &block].map(Clone::clone);
        for most in [0, 19] {
            let alone = [0, 1, 3, 4, 6, 7, 8, 9].map(|row| vec![row]);
            assert_eq!(groups(&batch, Some(most)), alone);
        }
        let of = |most| groups(&batch, most);
        assert_eq!(of(Some(20)), [vec![0, 1], vec![3], vec![4], vec![6], vec![7], vec![8], vec![9]]);
        assert_eq!(of(Some(39)), [vec![0, 1, 3], vec![4], vec![6, 7], vec![8], vec![9]]);
        assert_eq!(of(Some(60)), [vec![0, 1, 3], vec![4, 6], vec![7], vec![8], vec![9]]);
        assert_eq!(of(Some(1000)), [vec![0, 1, 3, 4, 6, 7], vec![8], vec![9]]);
        assert_eq!(of(None), [vec![0, 1, 3, 4, 6, 7, 8, 9]]);
        assert!(groups(&[none], Some(60)).is_empty());
    }
}
