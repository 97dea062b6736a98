//! The model in training: f32 weights, their gradient, and the layers of inference over variables of a graph.
//!
//! The forward pass is computed in a [`Dtype`]. In bf16 the weights are cast inside the graph, so that their gradient
//! is in f32. libtorch records the graph of the blocks; the gradient of the head is computed in chunks (`head.rs`).
//! With activation checkpointing (Chen et al. 2016, arXiv 1604.06174), the forward pass keeps only the input of each
//! block, and the block is computed again when its gradient is needed.

mod balance;
mod batch;
mod certainty;
mod head;
mod init;
mod parameters;
mod predictor;

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use tch::{Kind, Tensor, no_grad};

use self::{
    balance::Balance,
    batch::PreparedBatch,
    head::{Gradients, Head},
    parameters::ParameterLayout,
};
pub use self::{
    batch::TrainingBatch,
    certainty::{EntropyTerm, Prediction},
    parameters::{AdamW, Parameters},
};
use crate::{
    Device, Dtype, ModelConfig, ModelError, Weights,
    batch::banned_ids,
    files::write_json,
    layers::{
        block::TransformerBlock,
        linear::{Linear, WeightFormat},
        moe::Load,
        rope::Rope,
    },
    torch::{
        gradient,
        tensor::{rows_of, sizes},
    },
    weights::{
        role::{Module, Role, expected_tensors},
        source::WeightSource,
    },
};

/// A model in training.
///
/// It implements [`MaskPredictor`](llada_core::predictor::MaskPredictor), so that it can be sampled from like a
/// [`Transformer`](crate::Transformer) between two steps. It supports neither caches nor shadows.
#[derive(Debug)]
pub struct TrainableTransformer {
    config: ModelConfig,
    dtype: Dtype,
    device: tch::Device,
    rope: Rope,
    weights: Parameters,
    gradient: Parameters,
    /// The leaves of the graph, by name. They share the memory of `weights`, and their gradients that of `gradient`.
    variables: BTreeMap<String, Tensor>,
    activation_checkpointing: bool,
    /// The auxiliary loss whose gradient has accumulated.
    router_aux_loss: f64,
    /// The layout of the weights in predictions.
    format: WeightFormat,
    /// The ids that are never emitted, in ascending order.
    banned: Vec<u32>,
}

impl TrainableTransformer {
    /// Creates a model with random weights, drawn as LLaDA's were (`init_fn` "mitchell"). They depend on `config` and
    /// `seed` alone.
    ///
    /// # Errors
    /// The device does not exist, or has too little memory for weights and gradient.
    pub fn new(config: ModelConfig, seed: u64, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let mut model = Self::zeroed(config, device, dtype)?;
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
        let mut model = Self::zeroed(config, device, dtype)?;
        model.weights.fill(weights)?;
        Ok(model)
    }

    fn zeroed(config: ModelConfig, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let device = device.open()?;
        let weights = Parameters::new(Arc::new(ParameterLayout::new(expected_tensors(&config))), device)?;
        let gradient = weights.zeros_like()?;
        let mut variables = BTreeMap::new();
        for (name, span) in &weights.layout.spans {
            let mut variable = weights.view(span)?.f_detach()?.f_set_requires_grad(true)?;
            gradient::set_grad(&mut variable, &gradient.view(span)?)?;
            variables.insert(name.clone(), variable);
        }
        let rope = Rope::new(&config, device)?;
        let format = WeightFormat::of(dtype.into(), device);
        Ok(Self {
            banned: banned_ids(&config),
            config,
            dtype,
            device,
            rope,
            weights,
            gradient,
            variables,
            activation_checkpointing: false,
            router_aux_loss: 0.0,
            format,
        })
    }

    /// Sets whether blocks keep only their inputs for the backward pass, which saves memory and costs a second forward
    /// pass.
    pub fn set_activation_checkpointing(&mut self, on: bool) {
        self.activation_checkpointing = on;
    }

    /// Returns the config of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Returns the weights.
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// Returns the weights for replacement.
    pub fn weights_mut(&mut self) -> &mut Parameters {
        &mut self.weights
    }

    /// Returns the gradient that has accumulated since it was last cleared.
    pub fn gradient(&self) -> &Parameters {
        &self.gradient
    }

    /// Returns the gradient for replacement, for instance by the sum over all processes that compute parts of it.
    pub fn gradient_mut(&mut self) -> &mut Parameters {
        &mut self.gradient
    }

    /// Returns the loss by which the routers of a mixture of experts spread tokens, whose gradient is part of the
    /// accumulated one: that of all calls of [`accumulate`](Self::accumulate) since the gradient was last cleared. `None`
    /// if the config has no `router_aux_loss_coef`.
    pub fn router_aux_loss(&self) -> Option<f64> {
        self.config.moe.as_ref()?.router_aux_loss_coef.map(|_| self.router_aux_loss)
    }

    /// Sets the gradient to zero.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn clear_gradient(&mut self) -> Result<(), ModelError> {
        self.router_aux_loss = 0.0;
        self.gradient.clear()
    }

    /// Updates the weights by one step of AdamW ([`Parameters::adamw`]).
    ///
    /// # Errors
    /// libtorch's own.
    pub fn adamw(
        &mut self,
        moments: [&mut Parameters; 2],
        step: u64,
        settings: AdamW,
        max_norm: f64,
    ) -> Result<(), ModelError> {
        self.weights.adamw(&mut self.gradient, moments, step, settings, max_norm)
    }

    /// Returns the cross-entropy of each wanted token, in nats, without a gradient.
    ///
    /// # Errors
    /// The parts of the batch do not fit together or do not fit the config; libtorch fails.
    pub fn cross_entropy(&mut self, batch: &TrainingBatch<'_>) -> Result<Vec<f32>, ModelError> {
        let wanted = batch.wanted.len();
        let Some(batch) = self.prepare(batch)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        no_grad(|| {
            let x = self.embed(&batch.ids)?;
            let hidden = self.run(0..self.config.num_hidden_layers, x, &batch, None)?;
            self.head()?.cross_entropy(&hidden, &batch.targets, &batch.weights, None, None, &mut out)
        })?;
        out.truncate(wanted);
        Ok(out)
    }

    /// Returns the cross-entropy of each wanted token, in nats, and adds the gradient of their weighted sum to the
    /// accumulated one, with that of weighted entropies if the batch has such. So is the gradient of [`router_aux_loss`](Self::router_aux_loss), where the config has that loss.
    ///
    /// # Errors
    /// Those of [`cross_entropy`](Self::cross_entropy).
    pub fn accumulate(&mut self, batch: &TrainingBatch<'_>) -> Result<Vec<f32>, ModelError> {
        let (wanted, share) = (batch.wanted.len(), batch.share);
        let Some(batch) = self.prepare(batch)? else { return Ok(Vec::new()) };
        let mut balance = Balance::new(&self.config, share);
        let embedded = self.embed(&batch.ids)?;
        // The layers are divided into stretches. Only the graph of one stretch is in memory at a time; of the others
        // only the inputs are kept. Without activation checkpointing there is a single stretch.
        let length = if self.activation_checkpointing { 1 } else { self.config.num_hidden_layers };
        let mut stretches: Vec<(Range<usize>, Tensor)> = Vec::new();
        for start in (0..self.config.num_hidden_layers).step_by(length) {
            let input = match stretches.last() {
                None => embedded.f_detach()?,
                Some((layers, x)) => no_grad(|| {
                    let mut loads = Vec::new();
                    let y = self.run(layers.clone(), x.shallow_clone(), &batch, Some(&mut loads))?;
                    balance.add(&loads)?;
                    Ok::<_, ModelError>(y)
                })?,
            };
            stretches.push((start..start + length, input));
        }
        let mut out = Vec::new();
        // The gradient of the output of the stretch, which is that of the input of the stretch after it.
        let mut slope: Option<Tensor> = None;
        for (layers, input) in stretches.into_iter().rev() {
            let input = input.f_set_requires_grad(true)?;
            let mut loads = Vec::new();
            let y = self.run(layers, input.shallow_clone(), &batch, Some(&mut loads))?;
            let of_y = match slope {
                Some(slope) => slope,
                None => {
                    balance.add(&loads)?;
                    self.head_gradient(&y.f_detach()?, &batch, &mut out)?
                }
            };
            match balance.term(&loads)? {
                None => gradient::backward(&y, &of_y)?,
                // One backward pass for both: they share the layers below.
                Some(term) => {
                    let sum = y.f_mul(&of_y)?.f_sum(Kind::Float)?.f_add(&term)?;
                    gradient::backward(&sum, &sum.f_ones_like()?)?;
                }
            }
            slope = Some(input.f_grad()?);
        }
        if let Some(slope) = slope {
            gradient::backward(&embedded, &slope)?;
        }
        self.router_aux_loss += balance.loss()?;
        out.truncate(wanted);
        Ok(out)
    }

    /// Writes `config.json` and `model.safetensors` in `folder`, for [`Transformer::load`](crate::Transformer::load)
    /// and other readers of the Hugging Face layout. `dtype` is that of the file.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path, dtype: Dtype) -> Result<(), ModelError> {
        self.save_as(&self.weights, folder, dtype)
    }

    /// Writes the model as [`save`](Self::save) does, with other weights, such as a moving average.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save_as(&self, weights: &Parameters, folder: &Path, dtype: Dtype) -> Result<(), ModelError> {
        let torch_dtype = if dtype == Dtype::F32 { "float32" } else { "bfloat16" };
        write_json(&folder.join("config.json"), &self.config.to_keys(torch_dtype).into())?;
        weights.write(folder, dtype)
    }

    /// Embeds tokens.
    ///
    /// # Shapes
    /// ids (tokens) i64 -> (tokens, d) in the dtype of computation.
    fn embed(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        let table = self.variable(&self.module(Role::Embedding).weight(Role::Embedding))?;
        Ok(Tensor::f_embedding(table, ids, -1, false, false)?.f_to_kind(self.dtype.kind())?)
    }

    /// Computes `layers`. The last block is followed by the final norm, both for the wanted tokens only. `loads` gets how
    /// their routers spread tokens.
    ///
    /// # Shapes
    /// x (tokens, d) -> (tokens, d), or (wanted, d) after the last block.
    fn run(
        &self,
        layers: Range<usize>,
        mut x: Tensor,
        batch: &PreparedBatch,
        mut loads: Option<&mut Vec<Load>>,
    ) -> Result<Tensor, ModelError> {
        for layer in layers {
            let block = TransformerBlock::new(&mut &*self, layer)?;
            let is_last = layer + 1 == self.config.num_hidden_layers;
            let wanted = is_last.then_some(&batch.wanted);
            x = block.forward_training(&x, &batch.packing, wanted, &self.rope, loads.as_deref_mut())?;
            if is_last {
                x = (&mut &*self).norm(Role::FinalNorm, self.config.hidden_size)?.forward(&x)?;
            }
        }
        Ok(x)
    }

    /// Returns the gradient of the hidden states, and accumulates that of the head.
    ///
    /// # Shapes
    /// hidden (wanted, d) -> (wanted, d).
    fn head_gradient(&self, hidden: &Tensor, batch: &PreparedBatch, out: &mut Vec<f32>) -> Result<Tensor, ModelError> {
        let (weight, bias) = self.head_variables()?;
        let mut gradients = Gradients {
            weight: weight.f_grad()?,
            bias: bias.map(Tensor::f_grad).transpose()?,
            hidden: hidden.f_empty_like()?,
        };
        let (weights, entropy) = (&batch.weights, batch.entropy.as_ref());
        self.head()?.cross_entropy(hidden, &batch.targets, weights, entropy, Some(&mut gradients), out)?;
        Ok(gradients.hidden)
    }

    /// Returns the head in the dtype of computation, without a gradient.
    fn head(&self) -> Result<Head, ModelError> {
        let (weight, bias) = self.head_variables()?;
        let kind = self.dtype.kind();
        Ok(Head {
            weight: weight.f_detach()?.f_to_kind(kind)?,
            bias: bias.map(|bias| bias.f_detach()?.f_to_kind(kind)).transpose()?,
        })
    }

    /// Returns the variables of the head, which are those of the embedding if the two are tied.
    fn head_variables(&self) -> Result<(&Tensor, Option<&Tensor>), ModelError> {
        let role = if self.config.tie_word_embeddings { Role::Embedding } else { Role::Head };
        let module = self.module(role);
        let has_bias = self.config.biases.head && role == Role::Head;
        let bias = if has_bias { Some(self.variable(&module.bias())?) } else { None };
        Ok((self.variable(&module.weight(role))?, bias))
    }

    fn module(&self, role: Role) -> Module {
        self.config.family.architecture().module(&self.config, role)
    }

    fn variable(&self, name: &str) -> Result<&Tensor, ModelError> {
        self.variables.get(name).ok_or_else(|| ModelError::config("n_layers", format!("no tensor {name}")))
    }

    /// Returns the tensor `name`, or the rows of it that belong to the role, in the dtype of computation. The cast is
    /// part of the graph.
    fn cast(&self, module: &Module, name: &str) -> Result<Tensor, ModelError> {
        let variable = self.variable(name)?;
        if module.rows.is_empty() {
            return Ok(variable.f_to_kind(self.dtype.kind())?);
        }
        Ok(rows_of(variable, &module.rows)?.f_to_kind(self.dtype.kind())?)
    }
}

impl WeightSource for &TrainableTransformer {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn tensor(&mut self, role: Role, shape: &[usize]) -> Result<Tensor, ModelError> {
        let module = self.module(role);
        let tensor = self.cast(&module, &module.weight(role))?;
        debug_assert_eq!(tensor.size(), sizes(shape));
        Ok(tensor)
    }

    fn linear(&mut self, role: Role, shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError> {
        let weight = self.tensor(role, &shape)?;
        let module = self.module(role);
        let bias = if has_bias { Some(self.cast(&module, &module.bias())?) } else { None };
        Ok(Linear::plain(weight, bias))
    }
}
