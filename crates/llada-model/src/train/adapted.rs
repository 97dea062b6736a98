//! What a model in training has beside its variables if an adapter is trained: the frozen weights of the model, and the
//! places of the adapters.

use std::{collections::BTreeMap, path::Path};

use tch::{Kind, Tensor};

use crate::{
    LoraConfig, ModelConfig, ModelError, Modules, Precision,
    adapter::targets::{Targets, all_linear},
    layers::{dropout::DropoutStep, linear::Linear},
    load::Loader,
    torch::matrix::Matrix,
    weights::{
        MappedTensor,
        role::{Needed, Role, needed},
        source::WeightSource,
    },
};

/// The frozen part of a model.
#[derive(Debug)]
pub(super) struct Adapted {
    /// The settings, with the targets as an expression.
    pub(super) config: LoraConfig,
    pub(super) targets: Targets,
    /// The name of the base model.
    pub(super) base_model: String,
    /// The dropout of the step that is being computed, if inputs of adapters are dropped.
    pub(super) dropout: Option<DropoutStep>,
    tensors: BTreeMap<Role, Tensor>,
    linears: BTreeMap<Role, Linear>,
    /// The memory into which tensors point. Fields are dropped in order, so it outlives them.
    _mapped: Vec<MappedTensor>,
}

impl Adapted {
    /// Loads the frozen weights of the checkpoint in `folder`, in the format of `base`; what is not in the linear layers
    /// is of `kind`, unless `base` has a dtype.
    pub(super) fn load(
        folder: &Path,
        model: &ModelConfig,
        config: &LoraConfig,
        base: Precision,
        kind: Kind,
        device: tch::Device,
    ) -> Result<Self, ModelError> {
        let mut loader = Loader::of_storage(folder, model, base.into(), kind, device)?;
        let mut config = config.clone();
        if config.target_modules.as_ref().is_none_or(|modules| modules.is_all_linear()) {
            config.target_modules = Some(Modules::Regex(all_linear(model)));
        }
        let targets = Targets::new(&config, model)?;
        if config.lora_dropout > 0.0 {
            targets.check_dropout()?;
        }
        let (mut tensors, mut linears) = (BTreeMap::new(), BTreeMap::new());
        for Needed { role, shape, has_bias } in needed(model) {
            match *shape.as_slice() {
                [out, width] if role.is_linear(&shape) => {
                    linears.insert(role, loader.linear(role, [out, width], has_bias)?);
                }
                _ => _ = tensors.insert(role, loader.tensor(role, &shape)?),
            }
        }
        let _mapped = loader.finish()?;
        let base_model = folder.display().to_string();
        Ok(Self { config, targets, base_model, dropout: None, tensors, linears, _mapped })
    }

    /// Returns the frozen tensor of a role.
    pub(super) fn tensor(&self, role: Role) -> Result<&Tensor, ModelError> {
        self.tensors.get(&role).ok_or_else(|| missing(role))
    }

    /// Returns the frozen weight and bias of a linear layer.
    pub(super) fn linear(&self, role: Role) -> Result<(&Matrix, Option<&Tensor>), ModelError> {
        self.linears.get(&role).and_then(Linear::as_stored).ok_or_else(|| missing(role))
    }
}

fn missing(role: Role) -> ModelError {
    ModelError::config("n_layers", format!("no weight of {role:?}"))
}
