//! The model in training: f32 weights, their gradient, and the layers of inference over variables of a graph.
//!
//! The forward pass is computed in a [`Dtype`]. In bf16 the weights are cast inside the graph, so that their gradient
//! is in f32. libtorch records the graph of each block (`pass.rs`); the gradient of the head is computed in chunks
//! (`head.rs`). Gradient and weights may be divided among processes (`division.rs`).
//!
//! If an adapter is trained, the variables are those of the adapter, and everything else is frozen in the format in which
//! it is stored (`adapted.rs`).

mod adapted;
mod balance;
mod batch;
mod certainty;
mod division;
mod exchange;
mod head;
mod init;
mod layout;
mod open;
mod parameters;
mod pass;
mod predictor;
mod share_files;
mod slice;
mod source;

use std::{collections::BTreeMap, ops::Range, path::Path};

use llada_core::rng::Noise;
use tch::{Tensor, no_grad};

use self::{adapted::Adapted, batch::PreparedBatch, division::Division, source::Layers};
pub use self::{
    batch::TrainingBatch,
    certainty::{EntropyTerm, Prediction},
    division::norm_of,
    exchange::{Exchange, ExchangeError, Numbers, Pending},
    parameters::{AdamW, Parameters},
    slice::{ParameterSlice, TensorBox},
};
use crate::{
    Adapter, Dtype, ModelConfig, ModelError, adapter,
    files::write_json,
    layers::{block::TransformerBlock, dropout::DropoutStep, linear::WeightFormat, moe::Load, rope::Rope},
    weights::{role::Role, source::WeightSource},
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
    /// What is left of both in this process, if they are divided.
    division: Option<Division>,
    /// The frozen weights, if an adapter is trained.
    adapted: Option<Adapted>,
    /// The leaves of the graph, by name. They share the memory of `weights`, and their gradients that of `gradient`.
    variables: BTreeMap<String, Tensor>,
    activation_checkpointing: bool,
    /// The auxiliary loss whose gradient has accumulated.
    router_aux_loss: f64,
    /// The layout of the weights in predictions; that of frozen ones.
    format: WeightFormat,
    frozen_format: WeightFormat,
    /// The ids that are never emitted, in ascending order.
    banned: Vec<u32>,
}

impl TrainableTransformer {
    /// Keys the dropout of adapters in the following calls of [`accumulate`](Self::accumulate), whose batches begin with
    /// row `first_row` of all rows of step `step`. Until this is called, nothing is dropped.
    pub fn key_dropout(&mut self, noise: Noise, step: u32, first_row: usize) {
        if let Some(adapted) = &mut self.adapted {
            let p = adapted.config.lora_dropout;
            adapted.dropout = (p > 0.0).then_some(DropoutStep { p, noise, step, first_row });
        }
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

    /// Returns the weights. They are whole if [`gather_weights`](Self::gather_weights) has made them so, or are not divided.
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// Returns the weights for replacement.
    pub fn weights_mut(&mut self) -> &mut Parameters {
        &mut self.weights
    }

    /// Returns the gradient that has accumulated since it was last cleared, unless it is divided.
    pub fn gradient(&self) -> &Parameters {
        &self.gradient
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
        match &mut self.division {
            Some(division) => division.gradient.clear(),
            None => self.gradient.clear(),
        }
    }

    /// Updates the share of the weights of which `moments` are by one step of AdamW ([`ParameterSlice::adamw`]).
    ///
    /// # Errors
    /// libtorch's own.
    pub fn adamw(
        &mut self,
        moments: [&mut ParameterSlice; 2],
        step: u64,
        settings: AdamW,
        grad_scale: f64,
    ) -> Result<(), ModelError> {
        let (mut weights, mut gradient) = (self.weights_of(moments[0])?, self.gradient_of(moments[0])?);
        weights.adamw(&mut gradient, moments, step, settings, grad_scale)
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
            let hidden = self.run(0..self.config.num_hidden_layers, x, &batch, None, None)?;
            self.head()?.cross_entropy(&hidden, &batch.targets, &batch.weights, None, None, &mut out)
        })?;
        out.truncate(wanted);
        Ok(out)
    }

    /// Writes `config.json` and `model.safetensors` in `folder`, for [`Transformer::load`](crate::Transformer::load)
    /// and other readers of the Hugging Face layout; if an adapter is trained, its two files in peft's format, for
    /// [`Adapter::open`]. `dtype` is that of the file.
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
        if let Some(Adapted { config, base_model, .. }) = &self.adapted {
            return weights.write_with(dtype, |tensors| adapter::write(folder, config, Some(base_model), tensors));
        }
        self.save_config(folder, dtype)?;
        weights.write(folder, dtype)
    }

    /// Writes the `config.json` of weights that are stored in `dtype`, which may be in slices.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_config(&self, folder: &Path, dtype: Dtype) -> Result<(), ModelError> {
        write_json(&folder.join("config.json"), &self.config.to_keys(dtype.torch_name()).into())
    }

    /// Reads the weights that [`save`](Self::save) has written in `folder`.
    ///
    /// # Errors
    /// A file is damaged; a tensor is missing or unexpected, or has another shape or dtype.
    pub fn restore(&mut self, folder: &Path) -> Result<(), ModelError> {
        match &self.adapted {
            Some(_) => self.weights.fill(Adapter::open(folder)?.weights()?)?,
            None => self.weights.read(folder)?,
        }
        self.keep_share()
    }

    /// Embeds tokens.
    ///
    /// # Shapes
    /// ids (tokens) i64 -> (tokens, d) in the dtype of computation.
    fn embed(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        let (module, role) = (self.module(Role::Embedding), Role::Embedding);
        let table = match (self.variables.get(&module.weight(role)), &self.adapted) {
            (None, Some(adapted)) => adapted.tensor(role)?,
            (Some(table), _) => table,
            (None, None) => return Err(ModelError::config("n_layers", "no embedding")),
        };
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
        dropout: Option<DropoutStep>,
        mut loads: Option<&mut Vec<Load>>,
    ) -> Result<Tensor, ModelError> {
        // What is dropped is known by the place of a token in its row, so all tokens are there where it is.
        let is_dropped = dropout.is_some();
        let dropout = dropout.map(|step| (step, batch.row_lengths.clone()));
        let mut source = Layers { model: self, dropout };
        for layer in layers {
            let block = TransformerBlock::new(&mut source, layer)?;
            let is_last = layer + 1 == self.config.num_hidden_layers;
            let wanted = (is_last && !is_dropped).then_some(&batch.wanted);
            x = block.forward_training(&x, &batch.packing, wanted, &self.rope, loads.as_deref_mut())?;
            if is_last && is_dropped {
                x = x.f_index_select(0, &batch.wanted)?;
            }
            if is_last {
                x = source.norm(Role::FinalNorm, self.config.hidden_size)?.forward(&x)?;
            }
        }
        Ok(x)
    }
}
