//! Loading of layers from mapped files.
//!
//! Each tensor is fetched by role and converted at most once. The pages of its file are released as soon as a copy
//! exists, so that memory never holds the weights twice.

use std::{collections::BTreeMap, path::Path};

use tch::{Device, Kind, Tensor};

use crate::{
    ModelConfig, ModelError, Precision, Weights,
    adapter::{Adapter, LoadedAdapter},
    layers::linear::{Linear, WeightFormat},
    torch::{
        int8::Quantized,
        matrix::{Matrix, Storage},
        tensor::{map, rows_of, sizes},
    },
    weights::{
        MappedTensor,
        role::{self, Module, Role},
        source::WeightSource,
    },
};

/// A source of weights that reads a checkpoint.
pub(crate) struct Loader<'a> {
    config: &'a ModelConfig,
    weights: Weights,
    kind: Kind,
    device: Device,
    format: WeightFormat,
    adapter: Option<LoadedAdapter>,
    /// The mapped memory of the tensors that are used as stored.
    mapped: Vec<MappedTensor>,
    /// The fused tensors that are being fetched, by name, with the number of rows that no role has fetched yet.
    fused: BTreeMap<String, (MappedTensor, usize)>,
}

/// The stored tensor of one role.
struct Fetched {
    tensor: Tensor,
    stored: MappedTensor,
    /// True if no other role reads the stored tensor after this one.
    is_last: bool,
}

impl Fetched {
    /// Releases the pages of the file after the tensor has been copied.
    fn release(self) {
        if self.is_last {
            self.stored.release();
        }
    }
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        folder: &Path,
        config: &'a ModelConfig,
        precision: Precision,
        device: Device,
    ) -> Result<Self, ModelError> {
        Self::with_format(folder, config, precision.kind(), WeightFormat::of(precision, device), device)
    }

    /// Creates a loader whose linear layers keep the format of `storage`, for products in the dtype of their inputs. The
    /// other tensors are of `kind`, or of that of `storage`.
    pub(crate) fn of_storage(
        folder: &Path,
        config: &'a ModelConfig,
        storage: Storage,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
        let kind = if let Storage::Float(kind) = storage { kind } else { kind };
        Self::with_format(folder, config, kind, WeightFormat::Stored(storage), device)
    }

    fn with_format(
        folder: &Path,
        config: &'a ModelConfig,
        kind: Kind,
        format: WeightFormat,
        device: Device,
    ) -> Result<Self, ModelError> {
        let weights = Weights::of(folder, config)?;
        Ok(Self { config, weights, kind, device, format, adapter: None, mapped: Vec::new(), fused: BTreeMap::new() })
    }

    /// Adds an adapter to the layers that are loaded from now on.
    pub(crate) fn with_adapter(self, adapter: &Adapter) -> Result<Self, ModelError> {
        let adapter = adapter.load(self.config, self.device, self.kind)?;
        Ok(Self { adapter: Some(adapter), ..self })
    }

    /// Checks that no tensor is left over, and returns the mapped memory, which must outlive the loaded tensors.
    pub(crate) fn finish(self) -> Result<Vec<MappedTensor>, ModelError> {
        self.weights.finish()?;
        Ok(self.mapped)
    }

    /// Returns the token embedding.
    ///
    /// # Shapes
    /// (embedding_size, hidden_size).
    pub(crate) fn embedding(&mut self) -> Result<Tensor, ModelError> {
        self.tensor(Role::Embedding, &[self.config.embedding_size, self.config.hidden_size])
    }

    /// Returns the LM head, whose weights are those of the embedding if the two are tied.
    pub(crate) fn head(&mut self, embedding: &Tensor) -> Result<Linear, ModelError> {
        if self.config.tie_word_embeddings {
            return Ok(Linear::plain(embedding.shallow_clone(), None));
        }
        let shape = [self.config.padded_vocab_size, self.config.hidden_size];
        self.linear(Role::Head, shape, self.config.biases.head)
    }

    /// Fetches the tensor `name`, or the rows of it that belong to the role if it is fused.
    fn fetch(&mut self, module: &Module, name: &str, shape: &[usize]) -> Result<Fetched, ModelError> {
        if module.rows.is_empty() {
            let stored = self.weights.take_checked(name)?;
            let tensor = map(&stored)?;
            debug_assert_eq!(tensor.size(), sizes(shape));
            return Ok(Fetched { tensor, stored, is_last: true });
        }
        let (stored, left) = match self.fused.remove(name) {
            Some(fused) => fused,
            None => {
                let stored = self.weights.take_checked(name)?;
                let rows = stored.shape[0];
                (stored, rows)
            }
        };
        let tensor = rows_of(&map(&stored)?, &module.rows)?;
        debug_assert_eq!(tensor.size(), sizes(shape));
        let left = left - shape[0];
        if left > 0 {
            self.fused.insert(name.to_owned(), (stored.clone(), left));
        }
        Ok(Fetched { tensor, stored, is_last: left == 0 })
    }

    /// Returns a tensor in the model's dtype on its device: the adapter's, if it replaces the tensor. If the tensor is
    /// stored in that dtype, the mapped memory is used.
    fn float(&mut self, module: &Module, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let fetched = self.fetch(module, name, shape)?;
        if let Some(saved) = self.saved(module, name)? {
            return Ok(saved);
        }
        if fetched.tensor.kind() == self.kind && self.device == Device::Cpu {
            self.mapped.push(fetched.stored);
            return Ok(fetched.tensor);
        }
        let converted = fetched.tensor.f_to_device(self.device)?.f_to_kind(self.kind)?;
        fetched.release();
        Ok(converted)
    }

    /// Returns the tensor with which the adapter replaces `name`, if it does.
    fn saved(&self, module: &Module, name: &str) -> Result<Option<Tensor>, ModelError> {
        self.adapter.as_ref().map_or(Ok(None), |adapter| adapter.saved(module, name))
    }

    /// Returns true if every product of the blocks rounds each row as if it were alone.
    pub(crate) fn rounds_rows_alone(&self) -> bool {
        // The router of a mixture of experts is a row-major product, and one bit of it decides which experts compute a token.
        self.format.rounds_rows_alone() && self.adapter.is_none() && self.config.moe.is_none()
    }

    /// Returns the format of the linear layer of a role. The head is the layer that rounding harms most, and is not in four
    /// bits.
    fn format(&self, role: Role) -> WeightFormat {
        match self.format {
            WeightFormat::Stored(Storage::Nf4 { .. }) if role == Role::Head => {
                WeightFormat::Stored(Storage::Float(self.kind))
            }
            format => format,
        }
    }

    /// Creates a linear layer from weights that are stored in eight bits.
    fn quantized(&self, weight: &Quantized, bias: Option<Tensor>, format: WeightFormat) -> Result<Linear, ModelError> {
        match format {
            WeightFormat::Int8(kernel) => Linear::int8(weight, bias, kernel),
            WeightFormat::Stored(Storage::Int8) => {
                // A copy, because the pages of the file are released.
                let copy = |tensor: &Tensor| tensor.f_to_dtype(tensor.kind(), false, true);
                let weight = Quantized { values: copy(&weight.values)?, scale: copy(&weight.scale)? };
                Ok(Linear::stored(Matrix::Int8(weight).on(self.device)?, bias))
            }
            format => self.converted(&weight.dequantize(self.kind)?, bias, format),
        }
    }

    /// Creates a linear layer from weights in f32 or bf16.
    fn converted(&self, weight: &Tensor, bias: Option<Tensor>, format: WeightFormat) -> Result<Linear, ModelError> {
        match format {
            WeightFormat::Int8(kernel) => Linear::int8(&Quantized::weights(weight)?, bias, kernel),
            WeightFormat::Stored(storage) => Ok(Linear::stored(Matrix::new(weight, storage)?.on(self.device)?, bias)),
            format => Linear::float(weight.f_to_device(self.device)?.f_to_kind(self.kind)?, bias, format),
        }
    }

    /// Returns the linear layer of a role without its adapter.
    fn base(&mut self, role: Role, module: &Module, shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError> {
        let (name, format) = (module.weight(role), self.format(role));
        let bias = if has_bias { Some(self.float(module, &module.bias(), &shape[..1])?) } else { None };
        if self.weights.is_in_eight_bits(&name) || self.fused.get(&name).is_some_and(|(stored, _)| stored.is_int8()) {
            let values = self.fetch(module, &name, &shape)?;
            let scale = self.fetch(module, &role::scale(&name), &[shape[0], 1])?;
            if let Some(saved) = self.saved(module, &name)? {
                return Ok(Linear::plain(saved, bias));
            }
            let weight = Quantized { values: values.tensor.shallow_clone(), scale: scale.tensor.f_reshape([-1])? };
            let linear = self.quantized(&weight, bias, format)?;
            values.release();
            scale.release();
            return Ok(linear);
        }
        match format {
            WeightFormat::Plain => return Ok(Linear::plain(self.float(module, &name, &shape)?, bias)),
            WeightFormat::Stored(Storage::Float(_)) => {
                return Ok(Linear::stored(Matrix::Float(self.float(module, &name, &shape)?), bias));
            }
            _ => {}
        }
        let fetched = self.fetch(module, &name, &shape)?;
        // What was trained as a whole is not quantised.
        if let Some(saved) = self.saved(module, &name)? {
            return Ok(Linear::plain(saved, bias));
        }
        let linear = self.converted(&fetched.tensor, bias, format)?;
        fetched.release();
        Ok(linear)
    }
}

impl WeightSource for Loader<'_> {
    fn config(&self) -> &ModelConfig {
        self.config
    }

    fn tensor(&mut self, role: Role, shape: &[usize]) -> Result<Tensor, ModelError> {
        let module = self.config.family.architecture().module(self.config, role);
        self.float(&module, &module.weight(role), shape)
    }

    fn linear(&mut self, role: Role, shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError> {
        let module = self.config.family.architecture().module(self.config, role);
        let linear = self.base(role, &module, shape, has_bias)?;
        match &self.adapter {
            None => Ok(linear),
            Some(adapter) => Ok(linear.with_lora(adapter.lora(&module)?)),
        }
    }
}

/// Takes a tensor of a checkpoint in f32, whatever it is stored in.
pub(crate) fn take_exact(weights: &mut Weights, name: &str) -> Result<Tensor, ModelError> {
    let stored = weights.take_checked(name)?;
    let values = map(&stored)?;
    let exact = if stored.is_int8() {
        let scale = weights.take_checked(&role::scale(name))?;
        Quantized { values, scale: map(&scale)?.f_reshape([-1])? }.dequantize(Kind::Float)?
    } else {
        // A copy, because the file may not be kept.
        values.f_to_dtype(Kind::Float, false, true)?
    };
    stored.release();
    Ok(exact)
}
