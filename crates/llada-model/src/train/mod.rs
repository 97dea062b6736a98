//! LLaDA's Transformer in training: f32 weights, gradients, and the layers of inference over variables.
//!
//! The forward pass is computed in [`Dtype`]: in bf16 the weights are cast inside the graph, so that their gradient
//! arrives in f32. The body's graph is recorded by libtorch; the head's gradient is computed chunk by chunk (`head.rs`).
//! With activation checkpointing (Chen et al. 2016, arXiv 1604.06174) a block keeps its input alone and runs again when
//! its gradient is due.

mod head;
mod init;
mod parameters;
mod predictor;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tch::{Tensor, no_grad};

pub use self::parameters::{AdamW, Parameters};
use self::{
    head::{Gradients, Head},
    parameters::Layout,
};
use crate::{
    Device, Dtype, LladaConfig, ModelError, Weights,
    batch::banned_ids,
    files::write_json,
    layers::{
        attention::CacheView,
        block::{Block, Source},
        linear::{Layout as WeightLayout, Linear},
        norm::RmsNorm,
        packing::Packing,
        rope::Rope,
    },
    names,
    torch::{gradient, tensor::sizes},
};

/// A LLaDA model that learns.
///
/// Between two steps it predicts: it implements [`MaskPredictor`](llada_core::predictor::MaskPredictor), so that whatever
/// samples from a [`Llada`](crate::Llada) samples from it too. It keeps no cache and has no shadows.
#[derive(Debug)]
pub struct TrainableLlada {
    config: LladaConfig,
    dtype: Dtype,
    device: tch::Device,
    rope: Rope,
    weights: Parameters,
    gradient: Parameters,
    /// By name: leaves of the graph over the memory of `weights`, their gradients over that of `gradient`.
    variables: BTreeMap<String, Tensor>,
    activation_checkpointing: bool,
    /// How predictions hold their weights.
    layout: WeightLayout,
    /// The ids that are never emitted, ascending.
    banned: Vec<u32>,
}

/// Rows of one length, and which of their tokens are predicted.
#[derive(Debug, Clone, Copy)]
pub struct TrainingBatch<'a> {
    /// The ids that the model sees, row after row.
    pub ids: &'a [u32],
    /// Tokens of a row; divides their number.
    pub row_length: usize,
    /// The tokens whose hidden states predict, as ascending indices into `ids`.
    pub wanted: &'a [usize],
    /// What each of them has to predict.
    pub targets: &'a [u32],
    /// What each one's cross-entropy weighs in the loss.
    pub weights: &'a [f32],
}

/// A checked batch on its device.
struct Prepared {
    ids: Tensor,
    packing: Packing,
    /// Rounded up by repeating the last, whose repetitions weigh nothing.
    wanted: Tensor,
    targets: Tensor,
    weights: Tensor,
}

/// Wanted tokens are rounded up to a multiple of this: oneDNN compiles and keeps a kernel for each number of rows that
/// it meets, and the number of masks changes with every step.
const ROUND: usize = 64;

impl TrainableLlada {
    /// A model whose weights are drawn as LLaDA's were (`init_fn` "mitchell"), a function of `seed` alone.
    ///
    /// # Errors
    /// The device is not there, or has no memory for weights and gradient.
    pub fn new(config: LladaConfig, seed: u64, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let mut model = Self::zeroed(config, device, dtype)?;
        init::mitchell(&mut model.weights, &model.config, seed)?;
        Ok(model)
    }

    /// The checkpoint in `folder`.
    ///
    /// # Errors
    /// As for [`Llada::load`](crate::Llada::load).
    pub fn load(folder: &Path, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let config = LladaConfig::load(folder)?;
        let weights = Weights::of(folder, &config)?;
        let mut model = Self::zeroed(config, device, dtype)?;
        model.weights.fill(weights)?;
        Ok(model)
    }

    fn zeroed(config: LladaConfig, device: Device, dtype: Dtype) -> Result<Self, ModelError> {
        let device = device.open()?;
        let weights = Parameters::new(Arc::new(Layout::new(&config)), device)?;
        let gradient = weights.zeros_like()?;
        let variable = |(name, span): (&String, _)| {
            let mut variable = weights.view(span)?.f_detach()?.f_set_requires_grad(true)?;
            gradient::set_grad(&mut variable, &gradient.view(span)?)?;
            Ok((name.clone(), variable))
        };
        let variables = weights.layout.spans.iter().map(variable).collect::<Result<_, ModelError>>()?;
        let rope = Rope::new(&config, device)?;
        let layout = WeightLayout::of(dtype.into(), device);
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
            layout,
        })
    }

    /// Whether blocks keep their inputs alone for the backward pass: less memory, one more forward pass.
    pub fn set_activation_checkpointing(&mut self, on: bool) {
        self.activation_checkpointing = on;
    }

    /// The model's config.
    pub fn config(&self) -> &LladaConfig {
        &self.config
    }

    /// The weights.
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// The weights, to be replaced.
    pub fn weights_mut(&mut self) -> &mut Parameters {
        &mut self.weights
    }

    /// The weights, to be moved, and the gradient accumulated so far, to be used up.
    pub fn parts_mut(&mut self) -> (&mut Parameters, &mut Parameters) {
        (&mut self.weights, &mut self.gradient)
    }

    /// Each wanted token's cross-entropy in nats, without a gradient.
    ///
    /// # Errors
    /// The batch contradicts itself or the config; whatever fails in libtorch.
    pub fn cross_entropy(&mut self, batch: &TrainingBatch<'_>) -> Result<Vec<f32>, ModelError> {
        let wanted = batch.wanted.len();
        let Some(batch) = self.prepare(batch)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        no_grad(|| {
            let x = self.embed(&batch.ids)?;
            let hidden = self.run(0..self.config.n_layers, x, &batch)?;
            self.head()?.cross_entropy(&hidden, &batch.targets, &batch.weights, None, &mut out)
        })?;
        out.truncate(wanted);
        Ok(out)
    }

    /// Each wanted token's cross-entropy in nats; the gradient of their weighted sum is added to what has accumulated.
    ///
    /// # Errors
    /// As for [`cross_entropy`](Self::cross_entropy).
    pub fn accumulate(&mut self, batch: &TrainingBatch<'_>) -> Result<Vec<f32>, ModelError> {
        let wanted = batch.wanted.len();
        let Some(batch) = self.prepare(batch)? else { return Ok(Vec::new()) };
        let embedded = self.embed(&batch.ids)?;
        let stretch = if self.activation_checkpointing { 1 } else { self.config.n_layers };
        let starts = || (0..self.config.n_layers).step_by(stretch);
        let mut inputs = vec![embedded.f_detach()?];
        for start in starts().skip(1) {
            let x = no_grad(|| self.run(start - stretch..start, inputs[inputs.len() - 1].shallow_clone(), &batch))?;
            inputs.push(x);
        }
        let mut out = Vec::new();
        let mut slope: Option<Tensor> = None;
        for (start, input) in starts().zip(inputs).rev() {
            let input = input.f_set_requires_grad(true)?;
            let y = self.run(start..start + stretch, input.shallow_clone(), &batch)?;
            let of_y = match slope {
                Some(slope) => slope,
                None => self.head_gradient(&y.f_detach()?, &batch, &mut out)?,
            };
            gradient::backward(&y, &of_y)?;
            slope = Some(input.f_grad()?);
        }
        if let Some(slope) = slope {
            gradient::backward(&embedded, &slope)?;
        }
        out.truncate(wanted);
        Ok(out)
    }

    /// Writes a Hugging Face folder that `Llada::load` reads: `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path, dtype: Dtype) -> Result<(), ModelError> {
        self.save_as(&self.weights, folder, dtype)
    }

    /// [`save`](Self::save) with other weights than its own, such as their moving average.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save_as(&self, weights: &Parameters, folder: &Path, dtype: Dtype) -> Result<(), ModelError> {
        let torch_dtype = if dtype == Dtype::F32 { "float32" } else { "bfloat16" };
        write_json(&folder.join("config.json"), &self.config.to_keys(torch_dtype).into())?;
        weights.write(folder, dtype)
    }

    fn prepare(&mut self, batch: &TrainingBatch<'_>) -> Result<Option<Prepared>, ModelError> {
        let &TrainingBatch { ids, row_length, wanted, targets, weights } = batch;
        let refuse = |message: String| Err(ModelError::Batch { message });
        if row_length == 0 || !ids.len().is_multiple_of(row_length) {
            return refuse(format!("{} ids are not rows of {row_length}", ids.len()));
        }
        let max_sequence_length = self.config.max_sequence_length;
        if row_length > max_sequence_length {
            return Err(ModelError::TooLong { length: row_length, max_sequence_length });
        }
        let vocab_size = self.config.vocab_size;
        if let Some((position, &id)) = ids.iter().chain(targets).enumerate().find(|(_, id)| **id as usize >= vocab_size)
        {
            return Err(ModelError::TokenOutOfRange { id, position: position % row_length, vocab_size });
        }
        if targets.len() != wanted.len() || weights.len() != wanted.len() {
            let (targets, weights) = (targets.len(), weights.len());
            return refuse(format!("{} wanted tokens, {targets} targets, {weights} weights", wanted.len()));
        }
        if !wanted.is_sorted_by(|a, b| a < b) || wanted.last().is_some_and(|&last| last >= ids.len()) {
            return refuse(format!("wanted tokens are not ascending indices below {}", ids.len()));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        self.rope.reach(row_length)?;
        let rounded = wanted.len().next_multiple_of(ROUND);
        let round = |values: Vec<i64>| {
            let last = values[values.len() - 1];
            let values: Vec<i64> = values.into_iter().chain(std::iter::repeat(last)).take(rounded).collect();
            Tensor::f_from_slice(&values)?.f_to_device(self.device)
        };
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let mut weights = weights.to_vec();
        weights.resize(rounded, 0.0);
        Ok(Some(Prepared {
            packing: Packing::new(
                std::iter::repeat_n((0..row_length, [].as_slice()), ids.len() / row_length),
                self.device,
            )?,
            ids: Tensor::f_from_slice(&ids)?.f_to_device(self.device)?,
            wanted: round(wanted.iter().map(|&token| token as i64).collect())?,
            targets: round(targets.iter().map(|&id| i64::from(id)).collect())?,
            weights: Tensor::f_from_slice(&weights)?.f_to_device(self.device)?,
        }))
    }

    /// (tokens) -> (tokens, d) in the compute dtype.
    fn embed(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        let table = self.variable(names::ROOT, "wte.weight")?;
        Ok(Tensor::f_embedding(table, ids, -1, false, false)?.f_to_kind(self.dtype.kind())?)
    }

    /// Runs `layers` on `x`; after the last block, the final norm on the wanted tokens.
    fn run(&self, layers: std::ops::Range<usize>, mut x: Tensor, batch: &Prepared) -> Result<Tensor, ModelError> {
        for layer in layers {
            let block = Block::new(&mut &*self, layer)?;
            x = match layer + 1 == self.config.n_layers {
                false => block.forward(&x, &batch.packing, &self.rope, CacheView::none())?,
                true => {
                    let wanted = block.forward_select(&x, &batch.packing, &batch.wanted, &self.rope)?;
                    (&mut &*self).norm(names::ROOT, "ln_f")?.forward(&wanted)?
                }
            };
        }
        Ok(x)
    }

    /// The gradient of the hidden states; that of the head is accumulated.
    fn head_gradient(&self, hidden: &Tensor, batch: &Prepared, out: &mut Vec<f32>) -> Result<Tensor, ModelError> {
        let accumulated = |suffix: &str| {
            let variable = self.variable(names::ROOT, &format!("{}.{suffix}", self.head_name()))?;
            Ok::<_, ModelError>(variable.f_grad()?)
        };
        let bias = if self.head_has_bias() { Some(accumulated("bias")?) } else { None };
        let mut gradients = Gradients { weight: accumulated("weight")?, bias, hidden: hidden.f_empty_like()? };
        self.head()?.cross_entropy(hidden, &batch.targets, &batch.weights, Some(&mut gradients), out)?;
        Ok(gradients.hidden)
    }

    fn head(&self) -> Result<Head, ModelError> {
        let cast = |suffix: &str| {
            let variable = self.variable(names::ROOT, &format!("{}.{suffix}", self.head_name()))?;
            Ok::<_, ModelError>(variable.f_detach()?.f_to_kind(self.dtype.kind())?)
        };
        Ok(Head { weight: cast("weight")?, bias: if self.head_has_bias() { Some(cast("bias")?) } else { None } })
    }

    fn head_name(&self) -> &'static str {
        if self.config.weight_tying { "wte" } else { "ff_out" }
    }

    fn head_has_bias(&self) -> bool {
        self.config.include_bias && !self.config.weight_tying
    }

    fn variable(&self, prefix: &str, name: &str) -> Result<&Tensor, ModelError> {
        let name = format!("{prefix}{name}");
        self.variables.get(&name).ok_or_else(|| ModelError::config("n_layers", format!("no tensor {name}")))
    }

    fn cast(&self, prefix: &str, name: &str) -> Result<Tensor, ModelError> {
        Ok(self.variable(prefix, name)?.f_to_kind(self.dtype.kind())?)
    }
}

impl Source for &TrainableLlada {
    fn config(&self) -> &LladaConfig {
        &self.config
    }

    fn norm(&mut self, prefix: &str, name: &str) -> Result<RmsNorm, ModelError> {
        Ok(RmsNorm::new(self.cast(prefix, &format!("{name}.weight"))?, self.config.rms_norm_eps))
    }

    fn linear(&mut self, prefix: &str, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear, ModelError> {
        let weight = self.cast(prefix, &format!("{name}.weight"))?;
        debug_assert_eq!(weight.size(), sizes(&shape));
        let bias = if bias { Some(self.cast(prefix, &format!("{name}.bias"))?) } else { None };
        Ok(Linear::plain(weight, bias))
    }
}
