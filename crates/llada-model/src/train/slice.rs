//! A share of [`Parameters`], where processes divide among them what each would otherwise keep whole: the moments of the
//! optimizer (ZeRO stage 1, Rajbhandari et al. 2020, arXiv 1910.02054).
//!
//! Of every group of the layout a share has one stretch, which begins and ends at whole rows of tensors. So it has a box of
//! each tensor: some consecutive rows, or nothing.

use std::{ops::Range, sync::Arc};

use tch::{Kind, Tensor, no_grad};

use super::{
    layout::{ParameterLayout, Span},
    parameters::{AdamW, Parameters},
};
use crate::{
    ModelError,
    torch::{gradient, tensor::sizes},
};

/// The numbers of one process's share of the parameters of a model.
#[derive(Debug)]
pub struct ParameterSlice {
    pub(super) layout: Arc<ParameterLayout>,
    /// One of each group.
    stretches: Vec<Stretch>,
}

/// A part of a group.
#[derive(Debug)]
struct Stretch {
    /// Its place in the group.
    start: i64,
    /// (numbers of the stretch) f32.
    flat: Tensor,
}

/// The rows of one tensor that are in a share.
#[derive(Debug)]
pub struct TensorBox<'a> {
    /// The name of the tensor.
    pub name: &'a str,
    /// The first row, which of a vector is a number.
    pub first_row: usize,
    /// The number of rows, at least one.
    pub rows: usize,
    /// (rows, ...) f32, in the memory of the share.
    pub view: Tensor,
}

impl Parameters {
    /// Returns the share of process `rank` of `world_size`, in the memory of this set.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn slice(&self, rank: usize, world_size: usize) -> Result<ParameterSlice, ModelError> {
        let mut stretches = Vec::with_capacity(self.groups.len());
        for (group, flat) in self.layout.groups.iter().zip(&self.groups) {
            let (start, end) = (group.bound(rank, world_size), group.bound(rank + 1, world_size));
            stretches.push(Stretch { start, flat: flat.f_narrow(0, start, end - start)? });
        }
        Ok(ParameterSlice { layout: self.layout.clone(), stretches })
    }

    /// Returns the share that `own` is of, in the memory of this set.
    pub(super) fn slice_like(&self, own: &ParameterSlice) -> Result<ParameterSlice, ModelError> {
        let mut stretches = Vec::with_capacity(self.groups.len());
        for (Stretch { start, flat: of_own }, flat) in own.stretches.iter().zip(&self.groups) {
            let flat = flat.f_narrow(0, *start, of_own.numel() as i64)?;
            stretches.push(Stretch { start: *start, flat });
        }
        Ok(ParameterSlice { layout: self.layout.clone(), stretches })
    }
}

impl ParameterSlice {
    /// Returns the same numbers in the same memory.
    pub(super) fn share(&self) -> Self {
        let shared = |Stretch { start, flat }: &Stretch| Stretch { start: *start, flat: flat.shallow_clone() };
        Self { layout: self.layout.clone(), stretches: self.stretches.iter().map(shared).collect() }
    }

    /// Creates zeros for the same share.
    ///
    /// # Errors
    /// The device has too little memory.
    pub fn zeros_like(&self) -> Result<Self, ModelError> {
        // There is a stretch even of a model without layers.
        self.zeros_on(self.stretches[0].flat.device())
    }

    /// Creates zeros for the same share, in the memory of the CPU.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn zeros_on_cpu(&self) -> Result<Self, ModelError> {
        self.zeros_on(tch::Device::Cpu)
    }

    fn zeros_on(&self, device: tch::Device) -> Result<Self, ModelError> {
        let mut stretches = Vec::with_capacity(self.stretches.len());
        for Stretch { start, flat } in &self.stretches {
            let flat = Tensor::f_zeros([flat.numel() as i64], (Kind::Float, device))?;
            stretches.push(Stretch { start: *start, flat });
        }
        Ok(Self { layout: self.layout.clone(), stretches })
    }

    /// Copies the numbers of `other`, which is of the same share, from whatever device it is on.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), ModelError> {
        for (stretch, other) in self.stretches.iter_mut().zip(&other.stretches) {
            no_grad(|| stretch.flat.f_copy_(&other.flat))?;
        }
        Ok(())
    }

    /// Sets all numbers to zero.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn clear(&mut self) -> Result<(), ModelError> {
        for stretch in &mut self.stretches {
            _ = stretch.flat.f_zero_()?;
        }
        Ok(())
    }

    /// Interpolates linearly towards `other`, which is of the same share: x + weight (other − x).
    ///
    /// # Errors
    /// libtorch's own.
    pub fn lerp(&mut self, other: &Self, weight: f64) -> Result<(), ModelError> {
        for (stretch, other) in self.stretches.iter_mut().zip(&other.stretches) {
            _ = no_grad(|| stretch.flat.f_lerp_(&other.flat, weight))?;
        }
        Ok(())
    }

    /// Updates these weights by one step of AdamW, after dividing the gradient by `grad_scale`. All are of the same share.
    ///
    /// `step` is counted from 1. The moments are zero before the first step.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn adamw(
        &mut self,
        gradient: &mut Self,
        [exp_avg, exp_avg_sq]: [&mut Self; 2],
        step: u64,
        settings: AdamW,
        grad_scale: f64,
    ) -> Result<(), ModelError> {
        let scalar = |value| Tensor::f_full([], value, (Kind::Float, self.stretches[0].flat.device()));
        let (scale, step) = (scalar(grad_scale)?, scalar(step as f64)?);
        for (index, group) in self.layout.groups.iter().enumerate() {
            let (matrices, vectors) = (0..group.matrices, group.matrices..group.total);
            for (part, weight_decay) in [(matrices, settings.weight_decay), (vectors, 0.0)] {
                let part = self.within(index, part);
                let of = |slice: &Self| slice.stretch(index, part.clone());
                let mut tensors = [of(self)?, of(gradient)?, of(exp_avg)?, of(exp_avg_sq)?];
                let settings = AdamW { weight_decay, ..settings };
                no_grad(|| gradient::adamw(tensors.each_mut(), &step, settings, &scale))?;
            }
        }
        Ok(())
    }

    /// Returns the norms of the pieces of all tensors, 0 of those that are not in this share. Pieces are the smallest rows
    /// that are ever divided, so their norms have the same bits whatever the share.
    pub(super) fn norms(&self) -> Result<Vec<f64>, ModelError> {
        let mut norms = Vec::new();
        for span in self.layout.spans.values() {
            let first = norms.len();
            norms.resize(first + (span.len() as u64).div_ceil(span.unit as u64) as usize, 0.0);
            let own = self.within(span.group, span.start..span.start + span.len());
            let rest = (own.end - own.start) % span.unit;
            for (part, length) in [(own.start..own.end - rest, span.unit), (own.end - rest..own.end, rest)] {
                if part.is_empty() {
                    continue;
                }
                let before = first + ((part.start - span.start) / span.unit) as usize;
                let pieces = self.stretch(span.group, part)?.f_view([-1, length])?;
                let of_pieces = pieces.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), false)?;
                let of_pieces = Vec::<f64>::try_from(of_pieces.f_to_kind(Kind::Double)?)?;
                norms[before..before + of_pieces.len()].copy_from_slice(&of_pieces);
            }
        }
        Ok(norms)
    }

    /// Returns the numbers as a set, in the same memory, if the share is all of it.
    pub fn whole(&self) -> Option<Parameters> {
        let mut groups = Vec::with_capacity(self.stretches.len());
        for (stretch, group) in self.stretches.iter().zip(&self.layout.groups) {
            if stretch.len() < group.total {
                return None;
            }
            groups.push(stretch.flat.shallow_clone());
        }
        Some(Parameters { layout: self.layout.clone(), groups })
    }

    /// Returns the numbers in a few tensors, for what other crates do with them as a whole, such as sending them: one
    /// for the embedding, one for each block, and one for final norm and head.
    ///
    /// # Shapes
    /// -> each (numbers of the share in the group) f32, contiguous, maybe empty.
    pub fn stretches_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.stretches.iter_mut().map(|stretch| &mut stretch.flat)
    }

    /// Returns the rows of each tensor that are in this share, by the names of the tensors.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn boxes(&self) -> Result<Vec<TensorBox<'_>>, ModelError> {
        let mut boxes = Vec::new();
        for (name, span) in &self.layout.spans {
            boxes.extend(self.box_of(name, span)?);
        }
        Ok(boxes)
    }

    fn box_of<'a>(&self, name: &'a str, span: &Span) -> Result<Option<TensorBox<'a>>, ModelError> {
        let Range { start, end } = self.within(span.group, span.start..span.start + span.len());
        if start == end {
            return Ok(None);
        }
        let (first_row, rows) = ((start - span.start) / span.row(), (end - start) / span.row());
        let mut shape = sizes(&span.shape);
        shape[0] = rows;
        let view = self.stretch(span.group, start..end)?.f_view(shape.as_slice())?;
        Ok(Some(TensorBox { name, first_row: first_row as usize, rows: rows as usize, view }))
    }

    /// Returns what of `part`, a part of a group, is in this share.
    pub(super) fn within(&self, group: usize, part: Range<i64>) -> Range<i64> {
        let stretch = &self.stretches[group];
        let bound = |place: i64| place.clamp(stretch.start, stretch.start + stretch.len());
        bound(part.start)..bound(part.end)
    }

    /// # Shapes
    /// -> (end - start) f32, a view.
    pub(super) fn stretch(&self, group: usize, Range { start, end }: Range<i64>) -> Result<Tensor, ModelError> {
        let stretch = &self.stretches[group];
        Ok(stretch.flat.f_narrow(0, start - stretch.start, end - start)?)
    }
}

impl Stretch {
    fn len(&self) -> i64 {
        self.flat.numel() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::role::{BlockRole, Role, StoredTensor};

    /// A set of tensors in three groups, whose numbers are counted from 0 in each.
    fn numbers(rows: usize) -> Parameters {
        let (head, block) = (Role::Head, Role::Block(0, BlockRole::Query));
        let tensors = [
            ("embedding", vec![rows, 33], Role::Embedding),
            ("matrix", vec![rows, 5], block),
            ("norm", vec![3], block),
            ("head", vec![rows, 128], head),
        ];
        let stored = |(name, shape, role): (&str, _, _)| StoredTensor { name: name.to_owned(), shape, role };
        let layout = ParameterLayout::new(tensors.into_iter().map(stored).collect(), 1);
        let numbers = Parameters::new(Arc::new(layout), tch::Device::Cpu).unwrap();
        for span in numbers.layout.spans.values() {
            let count = Tensor::arange(span.len(), (Kind::Float, tch::Device::Cpu));
            let mut view = numbers.view(span).unwrap();
            view.copy_(&count.view_as(&view));
        }
        numbers
    }

    #[test]
    fn shares_are_all_rows_once_and_are_read_from_a_file_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        for (rows, world_size) in [(200, 1), (200, 2), (200, 3), (200, 7), (1, 4)] {
            let whole = numbers(rows);
            whole.write(folder.path(), crate::Dtype::F32).unwrap();
            let found = whole.zeros_like().unwrap();
            let mut norms = vec![0.0; whole.slice(0, 1).unwrap().norms().unwrap().len()];
            for rank in 0..world_size {
                let share = whole.slice(rank, world_size).unwrap();
                let mut read = share.zeros_like().unwrap();
                read.read(folder.path()).unwrap();
                for (expected, found_in_file) in share.boxes().unwrap().iter().zip(read.boxes().unwrap()) {
                    let TensorBox { name, first_row, rows, view } = expected;
                    assert_eq!((*name, *first_row), (found_in_file.name, found_in_file.first_row));
                    assert!(*rows > 0 && view.equal(&found_in_file.view), "{name}");
                    let of_whole = found.view(&found.layout.spans[*name]).unwrap();
                    let mut place = of_whole.narrow(0, *first_row as i64, *rows as i64);
                    // What is found twice is not what it should be.
                    place += view;
                }
                assert_eq!(share.whole().is_some(), world_size == 1);
                norms.iter_mut().zip(share.norms().unwrap()).for_each(|(sum, norm)| *sum += norm);
            }
            assert_eq!(norms, whole.slice(0, 1).unwrap().norms().unwrap(), "{rows} rows of {world_size}");
            for (expected, found) in whole.groups.iter().zip(&found.groups) {
                assert!(expected.equal(found), "{rows} rows of {world_size}");
            }
        }
    }
}
