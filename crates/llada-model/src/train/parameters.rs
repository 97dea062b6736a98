//! Sets of f32 numbers, one for each parameter of a model: its weights, their gradient, or the moments of an optimizer.

use std::{path::Path, sync::Arc};

use safetensors::tensor::TensorView;
use tch::{Kind, Tensor, no_grad};

use super::{
    division::norm_of,
    layout::{ParameterLayout, Span},
};
use crate::{
    Dtype, ModelError, Weights,
    files::write_safetensors,
    torch::tensor::{bytes, map, sizes},
};

/// One f32 number for each parameter of a model, in tensors with names and shapes.
#[derive(Debug)]
pub struct Parameters {
    pub(super) layout: Arc<ParameterLayout>,
    /// Of each group of the layout (numbers of the group) f32.
    pub(super) groups: Vec<Tensor>,
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

impl Parameters {
    /// Creates a set of zeros.
    pub(super) fn new(layout: Arc<ParameterLayout>, device: tch::Device) -> Result<Self, ModelError> {
        let mut groups = Vec::with_capacity(layout.groups.len());
        for group in &layout.groups {
            groups.push(Tensor::f_zeros([group.total], (Kind::Float, device))?);
        }
        Ok(Self { layout, groups })
    }

    /// Creates a set of zeros with the same tensors.
    ///
    /// # Errors
    /// The device has too little memory.
    pub fn zeros_like(&self) -> Result<Self, ModelError> {
        Self::new(self.layout.clone(), self.device())
    }

    /// Creates a set of zeros with the same tensors, in the memory of the CPU.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn zeros_on_cpu(&self) -> Result<Self, ModelError> {
        Self::new(self.layout.clone(), tch::Device::Cpu)
    }

    fn device(&self) -> tch::Device {
        // There is a group even of a model without layers.
        self.groups[0].device()
    }

    /// Returns one tensor as a view in its shape.
    pub(super) fn view(&self, span: &Span) -> Result<Tensor, ModelError> {
        Ok(self.groups[span.group].f_narrow(0, span.start, span.len())?.f_view(sizes(&span.shape).as_slice())?)
    }

    /// Returns whether a group is here. Those of a model that is divided come and go.
    pub(super) fn has(&self, group: usize) -> bool {
        self.groups[group].numel() as i64 == self.layout.groups[group].total
    }

    /// Sets all numbers to zero.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn clear(&mut self) -> Result<(), ModelError> {
        for group in &mut self.groups {
            _ = group.f_zero_()?;
        }
        Ok(())
    }

    /// Returns the Euclidean norm of all numbers.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn norm(&self) -> Result<f64, ModelError> {
        Ok(norm_of(&self.slice(0, 1)?.norms()?))
    }

    /// Adds `other`, which has the same tensors. The gradient of a batch is the sum of those of its parts.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn add(&mut self, other: &Self) -> Result<(), ModelError> {
        for (group, other) in self.groups.iter_mut().zip(&other.groups) {
            _ = no_grad(|| group.f_add_(other))?;
        }
        Ok(())
    }

    /// Copies the numbers of `other`, which has the same tensors.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), ModelError> {
        for (group, other) in self.groups.iter_mut().zip(&other.groups) {
            no_grad(|| group.f_copy_(other))?;
        }
        Ok(())
    }

    /// Interpolates linearly towards `other`: x + weight (other − x).
    ///
    /// # Errors
    /// libtorch's own.
    pub fn lerp(&mut self, other: &Self, weight: f64) -> Result<(), ModelError> {
        for (group, other) in self.groups.iter_mut().zip(&other.groups) {
            _ = no_grad(|| group.f_lerp_(other, weight))?;
        }
        Ok(())
    }

    /// Reads the safetensors in `folder`, whose tensors must be those of this set, stored in f32 or bf16, whole or in slices.
    ///
    /// # Errors
    /// A file is damaged; a tensor is missing or unexpected, or has another shape or dtype.
    pub fn read(&mut self, folder: &Path) -> Result<(), ModelError> {
        self.slice(0, 1)?.read(folder)
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
        let mut groups = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            groups.push(no_grad(|| group.f_to_kind(dtype.kind())?.f_to_device(tch::Device::Cpu))?);
        }
        let width = dtype.bytes();
        let mut views = Vec::with_capacity(self.layout.spans.len());
        for (name, span) in &self.layout.spans {
            let (start, length) = (span.start as usize * width, span.len() as usize * width);
            let bytes = &bytes(&groups[span.group])?[start..start + length];
            let view = TensorView::new(dtype.stored(), span.shape.clone(), bytes);
            views.push((name.clone(), view.map_err(|e| tch::TchError::Shape(format!("{name}: {e}")))?));
        }
        write(views)
    }
}
