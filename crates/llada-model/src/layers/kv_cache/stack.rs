//! Lanes of one capacity, one after another in one tensor a layer.

use tch::{Device, Kind, Tensor};

use crate::ModelError;

/// The keys and values of lanes, and which lanes are in use.
#[derive(Debug)]
pub(super) struct Stack {
    /// Tokens of a lane.
    pub(super) capacity: usize,
    /// Keys and values by layer, (lanes x capacity, kv heads x head_dim) each. The first forward adds the layers.
    pub(super) layers: Vec<[Tensor; 2]>,
    taken: Vec<bool>,
    /// Whether one call of attention may read several lanes. It multiplies what is past the end of a row by zero, which must not
    /// be 0 x NaN, so memory starts as zeros then.
    is_shared: bool,
}

impl Stack {
    /// Creates a stack without lanes.
    pub(super) fn new(capacity: usize, is_shared: bool) -> Self {
        Self { capacity, layers: Vec::new(), taken: Vec::new(), is_shared }
    }

    /// Takes the first free lane, or adds one.
    pub(super) fn claim(&mut self) -> Result<usize, ModelError> {
        let free = self.taken.iter().position(|taken| !taken);
        let index = free.unwrap_or(self.taken.len());
        if free.is_none() {
            self.resize(self.taken.len() + 1)?;
            self.taken.push(false);
        } else if self.is_shared {
            for of_all in self.layers.iter().flatten() {
                let _ = of_all.f_narrow(0, (index * self.capacity) as i64, self.capacity as i64)?.f_zero_()?;
            }
        }
        self.taken[index] = true;
        Ok(index)
    }

    /// Gives a lane back. If half of the lanes are free ones at the end, their memory is freed; if all are, with the stack.
    pub(super) fn release(&mut self, index: usize) -> Result<(), ModelError> {
        self.taken[index] = false;
        let used = self.taken.iter().rposition(|&taken| taken).map_or(0, |last| last + 1);
        if used > 0 && 2 * used <= self.taken.len() {
            self.taken.truncate(used);
            self.resize(used)?;
        }
        Ok(())
    }

    /// Returns true if no lane is in use.
    pub(super) fn is_free(&self) -> bool {
        !self.taken.contains(&true)
    }

    /// Gives the only lane of the stack another capacity, which is a higher one.
    pub(super) fn raise_capacity(&mut self, capacity: usize) -> Result<(), ModelError> {
        let before = std::mem::replace(&mut self.capacity, capacity);
        self.resize(1).inspect_err(|_| self.capacity = before)
    }

    /// Makes room for so many lanes, layer by layer, so that no more than one is in memory twice. After a failure layers have
    /// room for as many or for more.
    fn resize(&mut self, lanes: usize) -> Result<(), ModelError> {
        let tokens = (lanes * self.capacity) as i64;
        let is_shared = self.is_shared;
        for of_all in self.layers.iter_mut().flatten() {
            let (before, width) = of_all.size2()?;
            let resized = room([tokens, width], (of_all.kind(), of_all.device()), is_shared)?;
            let kept = tokens.min(before);
            resized.f_narrow(0, 0, kept)?.f_copy_(&of_all.f_narrow(0, 0, kept)?)?;
            *of_all = resized;
        }
        Ok(())
    }

    /// Makes room for keys and values like these in a layer, if it has none yet.
    ///
    /// # Shapes
    /// like (any, kv heads x head_dim) each.
    pub(super) fn open(&mut self, layer: usize, like: &[Tensor; 2]) -> Result<(), ModelError> {
        if layer < self.layers.len() {
            return Ok(());
        }
        let tokens = (self.taken.len() * self.capacity) as i64;
        let [k, v] = like.each_ref().map(|like| {
            let options = (like.kind(), like.device());
            room([tokens, like.size2()?.1], options, self.is_shared)
        });
        self.layers.push([k?, v?]);
        Ok(())
    }

    /// Returns the keys and values of the first `length` tokens of a lane, as views.
    ///
    /// # Shapes
    /// -> (length, kv heads x head_dim) each.
    pub(super) fn row(&self, layer: usize, index: usize, length: usize) -> Result<[Tensor; 2], ModelError> {
        let first = (index * self.capacity) as i64;
        let [k, v] = self.layers[layer].each_ref().map(|of_all| of_all.f_narrow(0, first, length as i64));
        Ok([k?, v?])
    }

    /// Returns the keys and values of the first `length` tokens of `lanes` lanes from `first` on, as views.
    ///
    /// # Shapes
    /// -> (lanes, length, kv heads x head_dim) each.
    pub(super) fn rows(
        &self,
        layer: usize,
        first: usize,
        lanes: usize,
        length: usize,
    ) -> Result<[Tensor; 2], ModelError> {
        let [k, v] = self.layers[layer].each_ref().map(|of_all| {
            let by_lane = of_all.f_view([-1, self.capacity as i64, of_all.size2()?.1])?;
            by_lane.f_narrow(0, first as i64, lanes as i64)?.f_narrow(1, 0, length as i64)
        });
        Ok([k?, v?])
    }
}

fn room(size: [i64; 2], options: (Kind, Device), is_zero: bool) -> Result<Tensor, ModelError> {
    Ok(if is_zero { Tensor::f_zeros(size, options)? } else { Tensor::f_empty(size, options)? })
}
