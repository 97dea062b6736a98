//! The memory of KV caches.
//!
//! Each cache has a lane: room for so many tokens in the keys and in the values of every layer. On a GPU, lanes of one
//! capacity lie one after another in one tensor, so that one call of attention reads those of several rows. Where
//! attention takes rows one by one, as on a CPU, each lane is a tensor of its own.

use std::collections::BTreeMap;

use tch::Tensor;

use super::stack::Stack;
use crate::{AttentionPattern, ModelError};

/// The lowest capacity of a lane that lies beside others, in tokens.
const LOWEST: usize = 256;

/// The place of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    stack: usize,
    index: usize,
}

impl Lane {
    /// Returns true if this lane is the next after `other` in one tensor.
    pub(crate) fn follows(self, other: Self) -> bool {
        self.stack == other.stack && self.index == other.index + 1
    }
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct KvMemory {
    /// Whether lanes of one capacity lie in one tensor.
    is_stacked: bool,
    /// By capacity if lanes are stacked, and otherwise of one lane each.
    stacks: BTreeMap<usize, Stack>,
}

impl KvMemory {
    /// Creates memory on a device for rows with this attention. Only full attention takes several rows in one call.
    pub(crate) fn new(device: tch::Device, attention: AttentionPattern) -> Self {
        let is_stacked = device != tch::Device::Cpu && attention == AttentionPattern::Full;
        if is_stacked { Self::stacked() } else { Self::default() }
    }

    /// Creates memory in which lanes of one capacity lie in one tensor.
    pub(crate) fn stacked() -> Self {
        Self { is_stacked: true, stacks: BTreeMap::new() }
    }

    /// Returns true if lanes of one capacity lie in one tensor.
    pub(crate) fn is_stacked(&self) -> bool {
        self.is_stacked
    }

    /// Returns the capacity of a new lane for a row of `length` tokens: the length, or 256, 384, 512, 768 and so on if lanes are
    /// stacked, so that rows of about the same length are in one stack.
    pub(crate) fn capacity(&self, length: usize) -> usize {
        if !self.is_stacked {
            return length;
        }
        let power = length.next_power_of_two().max(LOWEST);
        let between = power / 4 * 3;
        if length <= between && between >= LOWEST { between } else { power }
    }

    /// Takes a lane for a row of `length` tokens.
    pub(crate) fn claim(&mut self, length: usize) -> Result<Lane, ModelError> {
        let capacity = self.capacity(length);
        let after_last = self.stacks.last_key_value().map_or(0, |(&stack, _)| stack + 1);
        let stack = if self.is_stacked { capacity } else { after_last };
        let is_shared = self.is_stacked;
        let index = self.stacks.entry(stack).or_insert_with(|| Stack::new(capacity, is_shared)).claim()?;
        Ok(Lane { stack, index })
    }

    /// Gives a lane back.
    pub(crate) fn release(&mut self, lane: Lane) {
        let Some(stack) = self.stacks.get_mut(&lane.stack) else { return };
        // Memory that cannot be freed is used by the next rows.
        let _ = stack.release(lane.index);
        if stack.is_free() {
            self.stacks.remove(&lane.stack);
        }
    }

    /// Returns a lane with room for `length` tokens and the contents of `lane`, which is given back if it is another. A row
    /// that grows block by block is copied only a logarithmic number of times.
    pub(crate) fn grow(&mut self, lane: Lane, length: usize) -> Result<Lane, ModelError> {
        let stack = self.stacks.get_mut(&lane.stack).expect("the stack of a lane in use");
        if length <= stack.capacity {
            return Ok(lane);
        }
        let capacity = length.max(2 * stack.capacity);
        if !self.is_stacked {
            stack.raise_capacity(capacity)?;
            return Ok(lane);
        }
        let larger = self.claim(capacity)?;
        let copied = self.copy(lane, larger);
        self.release(if copied.is_ok() { lane } else { larger });
        copied.map(|()| larger)
    }

    /// Copies the contents of a lane to a larger one.
    fn copy(&mut self, from: Lane, to: Lane) -> Result<(), ModelError> {
        let (layers, length) = (self.of(from).layers.len(), self.of(from).capacity);
        for layer in 0..layers {
            let old = self.row(layer, from, length)?;
            self.open(layer, to, &old)?;
            for (new, old) in self.row(layer, to, length)?.iter_mut().zip(&old) {
                new.f_copy_(old)?;
            }
        }
        Ok(())
    }

    /// Makes room for keys and values like these in a layer, if it has none yet.
    ///
    /// # Shapes
    /// like (any, kv heads x head_dim) each.
    pub(crate) fn open(&mut self, layer: usize, lane: Lane, like: &[Tensor; 2]) -> Result<(), ModelError> {
        self.stacks.get_mut(&lane.stack).expect("the stack of a lane in use").open(layer, like)
    }

    /// Returns the keys and values of the first `length` tokens of a lane, as views.
    ///
    /// # Shapes
    /// -> (length, kv heads x head_dim) each.
    pub(crate) fn row(&self, layer: usize, lane: Lane, length: usize) -> Result<[Tensor; 2], ModelError> {
        self.of(lane).row(layer, lane.index, length)
    }

    /// Returns the keys and values of the first `length` tokens of each of the `lanes` lanes from `first` on, as views.
    ///
    /// # Shapes
    /// -> (lanes, length, kv heads x head_dim) each.
    pub(crate) fn rows(
        &self,
        layer: usize,
        first: Lane,
        lanes: usize,
        length: usize,
    ) -> Result<[Tensor; 2], ModelError> {
        self.of(first).rows(layer, first.index, lanes, length)
    }

    /// Returns the keys and values of all lanes that lie beside `lane`, one after another.
    ///
    /// # Shapes
    /// -> (lanes x capacity, kv heads x head_dim) each.
    pub(crate) fn beside(&self, layer: usize, lane: Lane) -> [Tensor; 2] {
        self.of(lane).layers[layer].each_ref().map(Tensor::shallow_clone)
    }

    /// Returns the place of the first token of a lane among all that lie [beside](Self::beside) it.
    pub(crate) fn first_place(&self, lane: Lane) -> usize {
        lane.index * self.of(lane).capacity
    }

    /// Returns the addresses of the keys and values of all lanes beside `lane`.
    pub(crate) fn addresses(&self, lane: Lane) -> impl Iterator<Item = usize> {
        self.of(lane).layers.iter().flatten().map(|of_all| of_all.data_ptr() as usize)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    fn of(&self, lane: Lane) -> &Stack {
        &self.stacks[&lane.stack]
    }
}

#[cfg(test)]
mod tests;
