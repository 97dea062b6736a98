//! How a model in training begins: with random weights, those of a checkpoint, or an adapter of a checkpoint.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tch::no_grad;

use super::{TrainableTransformer, adapted::Adapted, init, layout::ParameterLayout, parameters::Parameters};
use crate::{
    Adapter, Device, Dtype, LoraConfig, ModelConfig, ModelError, Precision, Weights,
    batch::banned_ids,
    layers::{linear::WeightFormat, rope::Rope},
    load::take_exact,
    weights::role::{StoredTensor, stored_tensors},
};

impl TrainableTransformer {
    /// Creates a model with random weights, drawn as LLaDA's were (`init_fn` "mitchell"). They depend on `config` and
    /// `seed` alone.
    ///
    /// # Errors
    /// The device does not exist, or has too little memory for weights and gradient.
    pub fn new(config: ModelConfig, seed: u64, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let mut model = Self::zeroed(stored_tensors(&config), config, device, dtype)?;
        init::mitchell(&mut model.weights, &model.config, seed)?;
        Ok(model)
    }

    /// Loads the checkpoint in `folder`.
    ///
    /// # Errors
    /// Those of [`Transformer::load`](crate::Transformer::load).
    pub fn load(folder: &Path, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let config = ModelConfig::load(folder)?;
        let weights = Weights::of(folder, &config)?;
        let mut model = Self::zeroed(stored_tensors(&config), config, device, dtype)?;
        model.weights.fill(weights)?;
        Ok(model)
    }

    /// Loads the checkpoint in `folder` to train an adapter of it, and draws the adapter, which changes nothing yet. The
    /// weights of the checkpoint are frozen, and kept in the format of `base`.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); the settings do not fit the model.
    pub fn with_new_adapter(
        folder: &Path,
        config: &LoraConfig,
        seed: u64,
        base: Precision,
        device: Device,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        let mut model = Self::frozen(folder, config, base, device, dtype)?;
        let Self { weights, adapted: Some(adapted), config, .. } = &mut model else { return Ok(model) };
        init::adapters(weights, &adapted.targets, seed)?;
        // What is trained as a whole starts from the checkpoint's numbers, not from rounded ones.
        let mut stored = Weights::of(folder, config)?;
        for name in adapted.targets.saved.keys() {
            let mut view = weights.view(&weights.layout.spans[name])?;
            no_grad(|| Ok::<_, ModelError>(view.f_copy_(&take_exact(&mut stored, name)?)?))?;
        }
        Ok(model)
    }

    /// Loads the checkpoint in `folder` to go on with the training of `adapter`. The weights of the checkpoint are frozen,
    /// and kept in the format of `base`.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); the adapter does not fit the model.
    pub fn with_adapter(
        folder: &Path,
        adapter: &Adapter,
        base: Precision,
        device: Device,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        let mut model = Self::frozen(folder, adapter.config(), base, device, dtype)?;
        model.weights.fill(adapter.weights()?)?;
        Ok(model)
    }

    fn frozen(
        folder: &Path,
        lora: &LoraConfig,
        base: Precision,
        device: Device,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        let config = ModelConfig::load(folder)?;
        let adapted = Adapted::load(folder, &config, lora, base, dtype.kind(), device.open()?)?;
        let mut model = Self::zeroed(adapted.targets.tensors(), config, device, dtype)?;
        if !matches!(base, Precision::Float(_)) {
            model.frozen_format = WeightFormat::of(base, model.device);
        }
        model.adapted = Some(adapted);
        Ok(model)
    }

    fn zeroed(
        tensors: Vec<StoredTensor>,
        config: ModelConfig,
        device: Device,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        let device = device.open()?;
        let layout = ParameterLayout::new(tensors, config.num_hidden_layers);
        let weights = Parameters::new(Arc::new(layout), device)?;
        let gradient = weights.zeros_like()?;
        let rope = Rope::new(&config, device)?;
        let format = WeightFormat::of(dtype.into(), device);
        let mut model = Self {
            banned: banned_ids(&config),
            config,
            dtype,
            device,
            rope,
            weights,
            gradient,
            division: None,
            adapted: None,
            variables: BTreeMap::new(),
            activation_checkpointing: false,
            router_aux_loss: 0.0,
            format,
            frozen_format: format,
        };
        for group in 0..model.weights.groups.len() {
            model.bind(group)?;
        }
        Ok(model)
    }
}
