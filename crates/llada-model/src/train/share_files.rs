//! Shares of [`Parameters`](super::Parameters) in files: each process writes its own, in slices, and reads its own, whoever
//! has written what.

use std::{collections::BTreeMap, path::Path};

use safetensors::tensor::TensorView;
use tch::{Device, no_grad};

use super::slice::{ParameterSlice, TensorBox};
use crate::{
    ModelError,
    torch::tensor::{bytes, map},
    weights::slices::{self, Slice, SlicedWeights},
};

impl ParameterSlice {
    /// Writes this share, that of process `rank`, in `folder` atomically, in the format of PyTorch's distributed checkpoints
    /// (DCP) in safetensors. Returns the name of the file, or `None` if there are no numbers to write.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path, rank: usize) -> Result<Option<String>, ModelError> {
        let boxes = self.boxes()?;
        if boxes.is_empty() {
            return Ok(None);
        }
        let mut on_cpu = Vec::with_capacity(boxes.len());
        for TensorBox { name, first_row, view, .. } in &boxes {
            on_cpu.push((*name, *first_row, no_grad(|| view.f_to_device(Device::Cpu))?));
        }
        let mut views = Vec::with_capacity(boxes.len());
        for (name, first_row, tensor) in &on_cpu {
            let shape = tensor.size().iter().map(|&size| size as usize).collect();
            let view = TensorView::new(safetensors::Dtype::F32, shape, bytes(tensor)?);
            let view = view.map_err(|e| tch::TchError::Shape(format!("{name}: {e}")))?;
            views.push((name.to_string(), *first_row, view));
        }
        slices::write(folder, rank, views).map(Some)
    }

    /// Reads this share of the safetensors in `folder`, whose tensors must be those of the whole set, stored in f32 or
    /// bf16: whole, or in slices that [`write`](Self::write) has written in any number of processes. Only the rows of this
    /// share are read.
    ///
    /// # Errors
    /// A file is damaged; a tensor or rows of it are missing or unexpected, or it has another shape or dtype.
    pub fn read(&mut self, folder: &Path) -> Result<(), ModelError> {
        let mut weights = SlicedWeights::open(folder)?;
        let boxes: BTreeMap<&str, TensorBox<'_>> = self.boxes()?.into_iter().map(|own| (own.name, own)).collect();
        for (name, span) in &self.layout.spans {
            for slice in weights.take(name, &span.shape)? {
                if let Some(own) = boxes.get(name.as_str()) {
                    own.copy_from(&slice)?;
                }
                slice.stored.release();
            }
        }
        weights.finish()
    }
}

impl TensorBox<'_> {
    /// Copies the rows that `slice` has too.
    fn copy_from(&self, slice: &Slice) -> Result<(), ModelError> {
        let stored = map(&slice.stored)?;
        let start = self.first_row.max(slice.first_row);
        let end = (self.first_row + self.rows).min(slice.first_row + stored.size()[0] as usize);
        if start < end {
            let rows = |first_row: usize| ((start - first_row) as i64, (end - start) as i64);
            let (from, count) = rows(slice.first_row);
            let (to, _) = rows(self.first_row);
            let part = stored.f_narrow(0, from, count)?;
            no_grad(|| Ok::<_, ModelError>(self.view.f_narrow(0, to, count)?.f_copy_(&part)?))?;
        }
        Ok(())
    }
}
