//! Sets of f32 numbers, one for each parameter of a model: its weights, their gradient, or the moments of an optimizer.
//!
//! All numbers of a set are in one flat tensor, those of matrices first. Hence an operation on all parameters is a
//! single call, and one that treats matrices differently, such as weight decay, is two.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use safetensors::tensor::TensorView;
use tch::{Kind, Tensor, no_grad};

use super::slice::ParameterSlice;
use crate::{
    Dtype, ModelError, Weights,
    files::write_safetensors,
    torch::{
        gradient,
        tensor::{bytes, map, sizes},
    },
};

/// One f32 number for each parameter of a model, in tensors with names and shapes.
#[derive(Debug)]
pub struct Parameters {
    pub(super) layout: Arc<ParameterLayout>,
    /// (parameters) f32.
    pub(super) flat: Tensor,
}

/// The places of all tensors in the flat tensor.
#[derive(Debug)]
pub(super) struct ParameterLayout {
    /// The spans by the names of the tensors.
    pub(super) spans: BTreeMap<String, Span>,
    /// The number of parameters of all matrices, which precede the others.
    matrices: i64,
    /// The number of all parameters.
    pub(super) total: i64,
}

/// The place of one tensor in the flat tensor.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) shape: Vec<usize>,
}

/// The settings of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// The learning rate of this step.
    pub lr: f64,
    /// The decay rates of the moving averages of the gradient and of its square.
    pub betas: [f64; 2],
    /// The number that is added to the root of the second average.
    pub eps: f64,
    /// The decoupled weight decay, which applies to matrices only.
    pub weight_decay: f64,
}

impl ParameterLayout {
    /// Creates the layout of tensors with these names and shapes, in their order.
    pub(super) fn new(tensors: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let (matrices, vectors): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|(_, shape)| shape.len() > 1);
        let mut layout = Self { spans: BTreeMap::new(), matrices: 0, total: 0 };
        for (name, shape) in matrices {
            layout.push(name, shape);
        }
        layout.matrices = layout.total;
        for (name, shape) in vectors {
            layout.push(name, shape);
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>) {
        let start = self.total;
        self.total += shape.iter().product::<usize>() as i64;
        self.spans.insert(name, Span { start, shape });
    }
}

impl Parameters {
    /// Creates a set of zeros.
    pub(super) fn new(layout: Arc<ParameterLayout>, device: tch::Device) -> Result<Self, ModelError> {
        let flat = Tensor::f_zeros([layout.total], (Kind::Float, device))?;
        Ok(Self { layout, flat })
    }

    /// Creates a set of zeros with the same tensors.
    ///
    /// # Errors
    /// The device has too little memory.
    pub fn zeros_like(&self) -> Result<Self, ModelError> {
        Self::new(self.layout.clone(), self.flat.device())
    }

    /// Creates a set of zeros with the same tensors, in the memory of the CPU.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn zeros_on_cpu(&self) -> Result<Self, ModelError> {
        Self::new(self.layout.clone(), tch::Device::Cpu)
    }

    /// Returns all numbers in one tensor, for what other crates do with them as a whole, such as summing gradients over
    /// processes.
    ///
    /// # Shapes
    /// -> (parameters) f32, contiguous.
    pub fn flat_mut(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Returns one tensor as a view in its shape.
    pub(super) fn view(&self, span: &Span) -> Result<Tensor, ModelError> {
        let shape = sizes(&span.shape);
        Ok(self.flat.f_narrow(0, span.start, shape.iter().product())?.f_view(shape.as_slice())?)
    }

    /// Sets all numbers to zero.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn clear(&mut self) -> Result<(), ModelError> {
        _ = self.flat.f_zero_()?;
        Ok(())
    }

    /// Returns the Euclidean norm of all numbers.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn norm(&self) -> Result<f64, ModelError> {
        // From the norms of the tensors: in one pass over all numbers in f32, the small ones would be lost to rounding,
        // and a conversion to f64 would need a copy.
        let mut norms = Vec::with_capacity(self.layout.spans.len());
        for span in self.layout.spans.values() {
            norms.push(self.view(span)?.f_norm()?);
        }
        Ok(Tensor::f_stack(&norms, 0)?.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?)
    }

    /// Adds `other`, which has the same tensors. The gradient of a batch is the sum of those of its parts.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn add(&mut self, other: &Self) -> Result<(), ModelError> {
        _ = no_grad(|| self.flat.f_add_(&other.flat))?;
        Ok(())
    }

    /// Copies the numbers of `other`, which has the same tensors.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), ModelError> {
        no_grad(|| Ok(self.flat.f_copy_(&other.flat)?))
    }

    /// Interpolates linearly towards `other`: x + weight (other − x).
    ///
    /// # Errors
    /// libtorch's own.
    pub fn lerp(&mut self, other: &Self, weight: f64) -> Result<(), ModelError> {
        _ = no_grad(|| self.flat.f_lerp_(&other.flat, weight))?;
        Ok(())
    }

    /// Updates the share of these weights of which `exp_avg` and `exp_avg_sq` are by one step of AdamW, after dividing
    /// the gradient by `grad_scale`.
    ///
    /// `step` is counted from 1. The moments are zero before the first step.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn adamw(
        &mut self,
        gradient: &mut Self,
        [exp_avg, exp_avg_sq]: [&mut ParameterSlice; 2],
        step: u64,
        settings: AdamW,
        grad_scale: f64,
    ) -> Result<(), ModelError> {
        let scalar = |value| Tensor::f_full([], value, (Kind::Float, self.flat.device()));
        let (scale, step) = (scalar(grad_scale)?, scalar(step as f64)?);
        let (matrices, total) = (self.layout.matrices, self.layout.total);
        for (start, end, weight_decay) in [(0, matrices, settings.weight_decay), (matrices, total, 0.0)] {
            let Range { start, end } = exp_avg.within(start, end);
            let mut tensors = [
                self.stretch(start, end)?,
                gradient.stretch(start, end)?,
                exp_avg.stretch(start, end)?,
                exp_avg_sq.stretch(start, end)?,
            ];
            no_grad(|| gradient::adamw(tensors.each_mut(), &step, AdamW { weight_decay, ..settings }, &scale))?;
        }
        Ok(())
    }

    /// # Shapes
    /// -> (end - start) f32, a view.
    fn stretch(&self, start: i64, end: i64) -> Result<Tensor, ModelError> {
        Ok(self.flat.f_narrow(0, start, end - start)?)
    }

    /// Reads the safetensors in `folder`, whose tensors must be those of this set, stored in f32 or bf16.
    ///
    /// # Errors
    /// A file is damaged; a tensor is missing or unexpected, or has another shape or dtype.
    pub fn read(&mut self, folder: &Path) -> Result<(), ModelError> {
        self.fill(Weights::open(folder)?)
    }

    /// Reads `weights`, whose tensors must be those of this set.
    pub(super) fn fill(&mut self, mut weights: Weights) -> Result<(), ModelError> {
        for (name, span) in &self.layout.spans {
            let stored = weights.take(name, &span.shape)?;
            no_grad(|| -> Result<(), ModelError> { Ok(self.view(span)?.f_copy_(&map(&stored)?)?) })?;
            stored.release();
        }
        weights.finish()
    }

    /// Writes `model.safetensors` in `folder` atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path, dtype: Dtype) -> Result<(), ModelError> {
        self.write_with(dtype, |tensors| write_safetensors(&folder.join("model.safetensors"), tensors))
    }

    /// Has `write` write the tensors, in `dtype`.
    pub(super) fn write_with(
        &self,
        dtype: Dtype,
        write: impl FnOnce(Vec<(String, TensorView<'_>)>) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let flat = no_grad(|| self.flat.f_to_kind(dtype.kind())?.f_to_device(tch::Device::Cpu))?;
        let (bytes, width) = (bytes(&flat)?, dtype.bytes());
        let mut views = Vec::with_capacity(self.layout.spans.len());
        for (name, span) in &self.layout.spans {
            let (start, count) = (span.start as usize * width, span.shape.iter().product::<usize>() * width);
            let view = TensorView::new(dtype.stored(), span.shape.clone(), &bytes[start..start + count]);
            views.push((name.clone(), view.map_err(|e| tch::TchError::Shape(format!("{name}: {e}")))?));
        }
        write(views)
    }
}
