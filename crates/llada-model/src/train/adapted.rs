//! What a model in training has beside its variables if an adapter is trained: the frozen weights of the model, and the
//! places of the adapters.

use std::{collections::BTreeMap, path::Path};

use llada_core::rng::{Domain, Noise};
use tch::{Kind, Tensor, no_grad};

use super::parameters::Parameters;
use crate::{
    LoraConfig, ModelConfig, ModelError, Precision,
    adapter::targets::{Targets, a_of, all_linear},
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
            config.target_modules = Some(crate::adapter::config::Modules::Regex(all_linear(model)));
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

    /// Draws new adapters, A uniform in ±1/√in and B zero, as peft does; what is trained as a whole starts from the
    /// frozen weights. All of it depends on `seed`, the settings and the weights alone.
    pub(super) fn initialise(
        &self,
        variables: &mut Parameters,
        model: &ModelConfig,
        seed: u64,
    ) -> Result<(), ModelError> {
        let noise = Noise::new(seed).domain(Domain::Weight);
        for (index, module) in self.targets.modules().enumerate() {
            let mut view = variables.view(&variables.layout.spans[&a_of(module)])?;
            let (r, width) = view.size2()?;
            let bound = 1.0 / (width as f64).sqrt();
            let mut values: Vec<f32> = Vec::with_capacity((r * width) as usize);
            for row in 0..r {
                let mut stream = noise.stream(index as u64, 0, row as u32);
                values.extend((0..width).map(|_| (bound * (2.0 * stream.uniform() - 1.0)) as f32));
            }
            no_grad(|| view.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(&view)?))?;
        }
        let architecture = model.family.architecture();
        for Needed { role, has_bias, .. } in needed(model) {
            let module = architecture.module(model, role);
            let (weight, bias) = match self.tensors.get(&role) {
                Some(tensor) => (tensor.shallow_clone(), None),
                None => {
                    let (weight, bias) = self.linear(role)?;
                    (weight.dequantize(Kind::Float)?, bias)
                }
            };
            let bias = bias.filter(|_| has_bias).map(|bias| (module.bias(), bias.shallow_clone()));
            for (name, from) in [Some((module.weight(role), weight)), bias].into_iter().flatten() {
                let Some(span) = variables.layout.spans.get(&name) else { continue };
                let whole = variables.view(span)?;
                let mut start = 0;
                let parts =
                    if module.rows.is_empty() { vec![0..whole.size()[0] as usize] } else { module.rows.clone() };
                for rows in parts {
                    let rows = (rows.start as i64, rows.len() as i64);
                    let part = from.f_narrow(0, start, rows.1)?;
                    no_grad(|| whole.f_narrow(0, rows.0, rows.1)?.f_copy_(&part))?;
                    start += rows.1;
                }
            }
        }
        Ok(())
    }
}

fn missing(role: Role) -> ModelError {
    ModelError::config("n_layers", format!("no weight of {role:?}"))
}
