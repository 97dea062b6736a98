//! The layers of a model in training, over its variables and, if an adapter is trained, over its frozen weights.

use std::sync::Arc;

use tch::Tensor;

use super::TrainableTransformer;
use crate::{
    ModelConfig, ModelError,
    layers::{
        dropout::{Dropout, DropoutStep},
        linear::Linear,
        lora::Lora,
    },
    torch::tensor::{rows_of, sizes},
    weights::{
        role::{Module, Role},
        source::WeightSource,
    },
};

/// A source of layers whose computation can be part of a graph.
pub(super) struct Layers<'a> {
    pub(super) model: &'a TrainableTransformer,
    /// The dropout of adapters, and the number of tokens of each row of the batch.
    pub(super) dropout: Option<(DropoutStep, Arc<[usize]>)>,
}

impl TrainableTransformer {
    pub(super) fn module(&self, role: Role) -> Module {
        self.config.family.architecture().module(&self.config, role)
    }

    /// Returns the variable `name`, or the rows of it that belong to the role, in the dtype of computation. The cast is
    /// part of the graph. `None` if the tensor is frozen.
    pub(super) fn learned(&self, module: &Module, name: &str) -> Result<Option<Tensor>, ModelError> {
        let Some(variable) = self.variables.get(name) else { return Ok(None) };
        let part = if module.rows.is_empty() { variable.shallow_clone() } else { rows_of(variable, &module.rows)? };
        Ok(Some(part.f_to_kind(self.dtype.kind())?))
    }

    /// Returns the tensor of a role that is not a linear layer, in the dtype of computation.
    pub(super) fn tensor(&self, role: Role) -> Result<Tensor, ModelError> {
        let module = self.module(role);
        let name = module.weight(role);
        match (self.learned(&module, &name)?, &self.adapted) {
            (Some(tensor), _) => Ok(tensor),
            (None, Some(adapted)) => Ok(adapted.tensor(role)?.f_to_kind(self.dtype.kind())?),
            (None, None) => Err(ModelError::config("n_layers", format!("no tensor {name}"))),
        }
    }

    /// Returns the adapter of a role's layer, if it has one.
    pub(super) fn lora(&self, module: &Module) -> Result<Option<Lora>, ModelError> {
        let Some(adapted) = &self.adapted else { return Ok(None) };
        adapted.targets.lora(module, |name| {
            let missing = || ModelError::lora("target_modules", format!("tensor {name} is missing"));
            Ok(self.variables.get(name).ok_or_else(missing)?.f_to_kind(self.dtype.kind())?)
        })
    }
}

impl WeightSource for Layers<'_> {
    fn config(&self) -> &ModelConfig {
        &self.model.config
    }

    fn tensor(&mut self, role: Role, shape: &[usize]) -> Result<Tensor, ModelError> {
        let tensor = self.model.tensor(role)?;
        debug_assert_eq!(tensor.size(), sizes(shape));
        Ok(tensor)
    }

    fn linear(&mut self, role: Role, _shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError> {
        let module = self.model.module(role);
        let name = module.weight(role);
        let bias = if has_bias { self.model.learned(&module, &module.bias())? } else { None };
        if let Some(weight) = self.model.learned(&module, &name)? {
            return Ok(Linear::plain(weight, bias));
        }
        let Some(adapted) = &self.model.adapted else {
            return Err(ModelError::config("n_layers", format!("no tensor {name}")));
        };
        let (weight, bias) = adapted.linear(role)?;
        let dropout = self.dropout.as_ref().map(|(step, row_lengths)| {
            let layer = adapted.targets.modules().position(|found| found == module.name).unwrap_or(0) as u32;
            Dropout { step: *step, layer, row_lengths: row_lengths.clone() }
        });
        let lora = self.model.lora(&module)?.map(|lora| lora.with_dropout(dropout));
        Ok(Linear::stored(weight.share(), bias.map(Tensor::shallow_clone)).with_lora(lora))
    }
}
