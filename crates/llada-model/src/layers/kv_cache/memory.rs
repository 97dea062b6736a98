//! The memory of KV caches.
//!
//! Each cache has a lane: room for so many tokens in the keys and in the values of every layer. On a GPU, lanes of one
//! capacity lie one after another in one tensor, so that one call of attention reads those of several rows. On a CPU,
//! where rows are computed one by one, each lane is a tensor of its own, and as long as its row.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::ModelError;

/// The lowest capacity of a lane that lies beside others, in tokens.
const LOWEST: usize = 256;

/// The place of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    stack: usize,
    index: usize,
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct KvMemory {
    /// Whether lanes of one capacity lie in one tensor.
    is_stacked: bool,
    /// By capacity if lanes are stacked, and otherwise of one lane each.
    stacks: BTreeMap<usize, Stack>,
}

/// Lanes of one capacity.
#[derive(Debug)]
struct Stack {
    /// Tokens of a lane.
    capacity: usize,
    /// Keys and values by layer, (lanes x capacity, kv heads x head_dim) each. The first forward adds the layers.
    layers: Vec<[Tensor; 2]>,
    /// Which lanes are in use.
    taken: Vec<bool>,
}

impl Lane {
    /// Returns true if this lane is the next after `other` in one tensor.
    pub(crate) fn follows(self, other: Self) -> bool {
        self.stack == other.stack && self.index == other.index + 1
    }
}

impl KvMemory {
    /// Creates the memory of a device, which is empty.
    pub(crate) fn on(device: tch::Device) -> Self {
        if device == tch::Device::Cpu { Self::default() } else { Self::stacked() }
    }

    /// Creates memory in which lanes of one capacity lie in one tensor.
    pub(crate) fn stacked() -> Self {
        Self { is_stacked: true, stacks: BTreeMap::new() }
    }

    /// Returns true if lanes of one capacity lie in one tensor.
    pub(crate) fn is_stacked(&self) -> bool {
        self.is_stacked
    }

    /// Returns the capacity of a new lane for a row of `length` tokens: 256, 384, 512, 768 and so on, if lanes are stacked,
    /// so that rows of about the same length are in one stack, and no lane is more than half empty.
    pub(crate) fn capacity(&self, length: usize) -> usize {
        if !self.is_stacked || length == 0 {
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
        let id = if self.is_stacked { capacity } else { after_last };
        let new = Stack { capacity, layers: Vec::new(), taken: Vec::new() };
        let index = self.stacks.entry(id).or_insert(new).claim()?;
        Ok(Lane { stack: id, index })
    }

    /// Gives a lane back. The memory is freed with the last lane of a stack.
    pub(crate) fn release(&mut self, lane: Lane) {
        let Some(stack) = self.stacks.get_mut(&lane.stack) else { return };
        stack.taken[lane.index] = false;
        if !stack.taken.contains(&true) {
            self.stacks.remove(&lane.stack);
        }
    }

    /// Returns a lane with room for `length` tokens and the contents of `lane`, which is given back if it is another. A row
    /// that grows block by block is copied only a logarithmic number of times.
    pub(crate) fn grow(&mut self, lane: Lane, length: usize) -> Result<Lane, ModelError> {
        let capacity = self.stacks[&lane.stack].capacity;
        if length <= capacity {
            return Ok(lane);
        }
        let larger = self.claim(length.max(2 * capacity))?;
        for layer in 0..self.stacks[&lane.stack].layers.len() {
            let old = self.row(layer, lane, capacity)?;
            self.open(layer, larger, &old)?;
            for (mut new, old) in self.row(layer, larger, capacity)?.into_iter().zip(&old) {
                new.f_copy_(old)?;
            }
        }
        self.release(lane);
        Ok(larger)
    }

    /// Makes room for keys and values like these in a layer, if it has none yet.
    ///
    /// # Shapes
    /// like (any, kv heads x head_dim) each.
    pub(crate) fn open(&mut self, layer: usize, lane: Lane, like: &[Tensor; 2]) -> Result<(), ModelError> {
        let is_stacked = self.is_stacked;
        let stack = self.stacks.get_mut(&lane.stack).expect("the stack of a lane in use");
        if layer < stack.layers.len() {
            return Ok(());
        }
        let tokens = (stack.taken.len() * stack.capacity) as i64;
        let [k, v] = like.each_ref().map(|like| {
            let (size, options) = ([tokens, like.size2()?.1], (like.kind(), like.device()));
            // Attention multiplies what is past the end of a row by zero, which must not be 0 x NaN.
            if is_stacked { Tensor::f_zeros(size, options) } else { Tensor::f_empty(size, options) }
        });
        stack.layers.push([k?, v?]);
        Ok(())
    }

    /// Returns the keys and values of the first `length` tokens of a lane, as views.
    ///
    /// # Shapes
    /// -> (length, kv heads x head_dim) each.
    pub(crate) fn row(&self, layer: usize, lane: Lane, length: usize) -> Result<[Tensor; 2], ModelError> {
        let stack = &self.stacks[&lane.stack];
        let first = (lane.index * stack.capacity) as i64;
        let [k, v] = stack.layers[layer].each_ref().map(|of_all| of_all.f_narrow(0, first, length as i64));
        Ok([k?, v?])
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
        let stack = &self.stacks[&first.stack];
        let capacity = stack.capacity as i64;
        let [k, v] = stack.layers[layer].each_ref().map(|of_all| {
            let by_lane = of_all.f_view([-1, capacity, of_all.size2()?.1])?;
            by_lane.f_narrow(0, first.index as i64, lanes as i64)?.f_narrow(1, 0, length as i64)
        });
        Ok([k?, v?])
    }

    /// Returns the keys and values of all lanes that lie beside `lane`, one after another.
    ///
    /// # Shapes
    /// -> (lanes x capacity, kv heads x head_dim) each.
    pub(crate) fn beside(&self, layer: usize, lane: Lane) -> [Tensor; 2] {
        self.stacks[&lane.stack].layers[layer].each_ref().map(Tensor::shallow_clone)
    }

    /// Returns the place of the first token of a lane among all that lie [beside](Self::beside) it.
    pub(crate) fn first_place(&self, lane: Lane) -> usize {
        lane.index * self.stacks[&lane.stack].capacity
    }

    /// Returns the addresses of the keys and values of all lanes beside `lane`.
    pub(crate) fn addresses(&self, lane: Lane) -> impl Iterator<Item = usize> {
        self.stacks[&lane.stack].layers.iter().flatten().map(|of_all| of_all.data_ptr() as usize)
    }
}

impl Stack {
    /// Takes a free lane, or adds one.
    fn claim(&mut self) -> Result<usize, ModelError> {
        let free = self.taken.iter().position(|taken| !taken);
        let index = free.unwrap_or(self.taken.len());
        let (capacity, lanes) = (self.capacity as i64, self.taken.len().max(index + 1) as i64);
        // Layer by layer, so that no more than one is in memory twice.
        for of_all in self.layers.iter_mut().flatten() {
            let (tokens, width) = of_all.size2()?;
            if free.is_some() {
                // Of the last row there may be infinities.
                let _ = of_all.f_narrow(0, index as i64 * capacity, capacity)?.f_zero_()?;
            } else if tokens < lanes * capacity {
                let longer = Tensor::f_zeros([lanes * capacity, width], (of_all.kind(), of_all.device()))?;
                longer.f_narrow(0, 0, tokens)?.f_copy_(of_all)?;
                *of_all = longer;
            }
        }
        if free.is_none() {
            self.taken.push(false);
        }
        self.taken[index] = true;
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys and values of `tokens` tokens, which are these numbers.
    fn filled(tokens: i64, keys: f64, values: f64) -> [Tensor; 2] {
        [keys, values].map(|value| Tensor::full([tokens, 2], value, tch::kind::FLOAT_CPU))
    }

    /// Claims a lane and fills it in two layers with `value`.
    fn claim(memory: &mut KvMemory, length: usize, value: f64) -> Result<Lane, ModelError> {
        let lane = memory.claim(length)?;
        for layer in 0..2 {
            let new = filled(length as i64, value, -value);
            memory.open(layer, lane, &new)?;
            for (mut row, new) in memory.row(layer, lane, length)?.into_iter().zip(&new) {
                row.copy_(new);
            }
        }
        Ok(lane)
    }

    fn holds(memory: &KvMemory, lane: Lane, length: usize, value: f64) -> Result<bool, ModelError> {
        let expected = filled(length as i64, value, -value);
        let is_equal = |layer| -> Result<bool, ModelError> {
            let found = memory.row(layer, lane, length)?;
            Ok(found.iter().zip(&expected).all(|(found, expected)| found.equal(expected)))
        };
        Ok(is_equal(0)? && is_equal(1)?)
    }

    #[test]
    fn rows_of_about_the_same_length_lie_side_by_side() -> Result<(), ModelError> {
        let mut memory = KvMemory::stacked();
        let lanes = [(300, 1.0), (384, 2.0), (260, 3.0)];
        let [a, b, c] = lanes.map(|(length, value)| claim(&mut memory, length, value));
        let (a, b, c) = (a?, b?, c?);
        assert!(b.follows(a) && c.follows(b) && !c.follows(a) && !a.follows(b));
        let longer = claim(&mut memory, 400, 4.0)?;
        assert!(!longer.follows(c));
        let [k, v] = memory.rows(1, a, 3, 300)?;
        assert_eq!((k.size(), v.size()), (vec![3, 300, 2], vec![3, 300, 2]));
        // The lanes are longer than their rows, and past these they are zero.
        let firsts = |x: &Tensor, place| [0, 1, 2].map(|lane| x.double_value(&[lane, place, 0]));
        assert_eq!((firsts(&k, 259), firsts(&v, 259)), ([1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]));
        assert_eq!(firsts(&k, 280), [1.0, 2.0, 0.0]);
        assert_eq!(memory.first_place(c), 2 * 384);
        Ok(())
    }

    #[test]
    fn lanes_keep_their_contents_while_others_come_and_go() -> Result<(), ModelError> {
        for mut memory in [KvMemory::stacked(), KvMemory::default()] {
            let a = claim(&mut memory, 100, 1.0)?;
            let b = claim(&mut memory, 100, f64::INFINITY)?;
            let c = claim(&mut memory, 100, 3.0)?;
            memory.release(b);
            let d = memory.claim(90)?;
            assert_eq!(memory.is_stacked(), d == b);
            if memory.is_stacked() {
                assert!(holds(&memory, d, 100, 0.0)?);
            }
            assert!(holds(&memory, a, 100, 1.0)? && holds(&memory, c, 100, 3.0)?);
            let larger = memory.grow(a, 5000)?;
            assert!(holds(&memory, larger, 100, 1.0)? && holds(&memory, c, 100, 3.0)?);
            assert_eq!(memory.grow(larger, 4000)?, larger);
            [larger, c, d].into_iter().for_each(|lane| memory.release(lane));
            assert!(memory.stacks.is_empty());
        }
        Ok(())
    }

    #[test]
    fn a_lane_is_at_most_half_empty() {
        let memory = KvMemory::stacked();
        let of = [1, 256, 257, 384, 385, 512, 513, 768, 769, 1024, 1025];
        let capacities = [256, 256, 384, 384, 512, 512, 768, 768, 1024, 1024, 1536];
        assert_eq!(of.map(|length| memory.capacity(length)), capacities);
        assert_eq!(KvMemory::default().capacity(257), 257);
    }
}
