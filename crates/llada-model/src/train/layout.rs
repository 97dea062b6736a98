//! Where the parameters of a model are: in one group for the embedding, one for each block, and one for final norm and
//! head, which is the order in which they are used.
//!
//! A group is one flat tensor, matrices first. Hence an operation on a group is a single call, and one that treats
//! matrices differently, such as weight decay, is two. Every tensor begins at a multiple of [`ALIGNMENT`] numbers; what
//! is between two of them is 0 and stays so.

use std::collections::BTreeMap;

use crate::weights::role::StoredTensor;

/// Tensors and shares begin at multiples of this many numbers, so that shares are computed in the vectors in which one
/// process computes all numbers.
const ALIGNMENT: i64 = 64;

/// The places of all tensors.
#[derive(Debug)]
pub(super) struct ParameterLayout {
    /// The spans by the names of the tensors.
    pub(super) spans: BTreeMap<String, Span>,
    pub(super) groups: Vec<GroupLayout>,
}

/// The place of one tensor in its group.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) group: usize,
    pub(super) start: i64,
    pub(super) shape: Vec<usize>,
    /// The smallest number of whole rows whose length is a multiple of [`ALIGNMENT`], as a length.
    pub(super) unit: i64,
}

/// The places in one group.
#[derive(Debug, Default)]
pub(super) struct GroupLayout {
    /// The length of all matrices, which precede the vectors.
    pub(super) matrices: i64,
    /// The length of the group.
    pub(super) total: i64,
    /// The starts and units of its tensors, in ascending order.
    tensors: Vec<[i64; 2]>,
}

impl Span {
    /// The number of parameters.
    pub(super) fn len(&self) -> i64 {
        self.shape.iter().product::<usize>() as i64
    }

    /// The length of a row, which is one number of a vector.
    pub(super) fn row(&self) -> i64 {
        self.shape[1..].iter().product::<usize>() as i64
    }
}

impl ParameterLayout {
    /// Creates the layout of the tensors of a model with so many layers.
    pub(super) fn new(tensors: Vec<StoredTensor>, layers: usize) -> Self {
        let (matrices, vectors): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|tensor| tensor.shape.len() > 1);
        let mut groups = Vec::new();
        groups.resize_with(layers + 2, GroupLayout::default);
        let mut layout = Self { spans: BTreeMap::new(), groups };
        for tensor in matrices {
            layout.push(tensor, layers);
        }
        for group in &mut layout.groups {
            group.matrices = group.total;
        }
        for tensor in vectors {
            layout.push(tensor, layers);
        }
        layout
    }

    /// Returns the tensors of a group, by their names.
    pub(super) fn of_group(&self, group: usize) -> impl Iterator<Item = (&String, &Span)> {
        self.spans.iter().filter(move |(_, span)| span.group == group)
    }

    fn push(&mut self, StoredTensor { name, shape, role }: StoredTensor, layers: usize) {
        let index = role.stage(layers);
        let group = &mut self.groups[index];
        let mut span = Span { group: index, start: group.total, shape, unit: 0 };
        let row = span.row().max(1);
        span.unit = row * (ALIGNMENT >> row.trailing_zeros().min(ALIGNMENT.trailing_zeros()));
        group.tensors.push([span.start, span.unit]);
        group.total += (span.len() as u64).next_multiple_of(ALIGNMENT as u64) as i64;
        self.spans.insert(name, span);
    }
}

impl GroupLayout {
    /// Returns where the share of process `rank` of `world_size` begins: at a whole row of a tensor, and at a multiple of
    /// [`ALIGNMENT`] numbers.
    pub(super) fn bound(&self, rank: usize, world_size: usize) -> i64 {
        if rank >= world_size {
            return self.total;
        }
        let fair = (self.total as u128 * rank as u128 / world_size as u128) as i64;
        let before = self.tensors.iter().take_while(|[start, _]| *start <= fair).last();
        before.map_or(0, |[start, unit]| fair - (fair - start) % unit)
    }

    /// Returns where the shares of all processes begin, and the last one ends.
    pub(super) fn bounds(&self, world_size: usize) -> Vec<usize> {
        (0..=world_size).map(|rank| self.bound(rank, world_size) as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::role::{BlockRole, Role};

    #[test]
    fn shares_begin_at_whole_rows_and_at_whole_vectors() {
        // Rows of an odd length, of a length that divides the alignment, and fewer rows than any share could begin at.
        for shapes in [vec![vec![1000, 33], vec![70, 4], vec![200]], vec![vec![5, 5], vec![3]], vec![vec![64, 128]]] {
            let mut tensors = Vec::new();
            for (index, shape) in shapes.into_iter().enumerate() {
                let role = Role::Block(0, BlockRole::Query);
                tensors.push(StoredTensor { name: format!("tensor {index}"), shape, role });
            }
            let layout = ParameterLayout::new(tensors, 1);
            let group = &layout.groups[1];
            for world_size in 1..9 {
                let bounds: Vec<i64> = (0..=world_size).map(|rank| group.bound(rank, world_size)).collect();
                assert!(bounds.is_sorted() && bounds[0] == 0 && bounds[world_size] == group.total, "{bounds:?}");
                for bound in bounds {
                    assert_eq!(bound % ALIGNMENT, 0);
                    let inside = |span: &&Span| (span.start..span.start + span.len()).contains(&bound);
                    let cut = layout.spans.values().find(inside);
                    assert!(cut.is_none_or(|span| (bound - span.start) % span.row() == 0), "{bound} of {cut:?}");
                }
            }
            assert_eq!((layout.groups[0].total, layout.groups[0].bound(1, 2)), (0, 0));
        }
    }

    #[test]
    fn shares_are_about_as_large() {
        let role = Role::Block(0, BlockRole::Query);
        let tensor = |name: &str| StoredTensor { name: name.to_owned(), shape: vec![100, 96], role };
        let layout = ParameterLayout::new(vec![tensor("a"), tensor("b"), tensor("c")], 1);
        let bounds: Vec<i64> = (0..=7).map(|rank| layout.groups[1].bound(rank, 7)).collect();
        for share in bounds.windows(2) {
            assert!((share[1] - share[0] - 28_800 / 7).abs() <= 192, "{bounds:?}");
        }
    }
}
