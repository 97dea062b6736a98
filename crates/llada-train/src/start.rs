//! What a run starts from: its model before the first step, and its datasets.

use std::path::Path;

use llada_model::{Adapter, ModelConfig, Tokenizer, TrainableTransformer};

use crate::{
    TrainError,
    config::{ModelShape, RunConfig},
    data::{Dataset, DatasetKind},
    objective::Objective,
};

/// The model before the first step.
pub(crate) fn model(config: &RunConfig) -> Result<TrainableTransformer, TrainError> {
    let shape = self::config(config)?;
    let mut model = match &config.init {
        Some(folder) => of_checkpoint(folder, config)?,
        None => TrainableTransformer::new(shape, config.seed, config.device, config.dtype)?,
    };
    model.set_activation_checkpointing(config.activation_checkpointing);
    Ok(model)
}

/// The config of the run's model.
pub(crate) fn config(config: &RunConfig) -> Result<ModelConfig, TrainError> {
    let model = match (&config.init, &config.model, &config.tokenizer) {
        (Some(folder), None, _) => ModelConfig::load(folder)?,
        (None, Some(shape), Some(tokenizer)) => new_config(shape, tokenizer, config.objective)?,
        (Some(folder), Some(_), _) => {
            return Err(TrainError::config("init", folder.display(), "it has a shape: leave out [model]"));
        }
        (None, ..) => return Err(TrainError::config("init", "missing", "give it, or both [model] and tokenizer")),
    };
    if model.is_causal() != (config.objective == Objective::Ar) {
        let hint = "a causal model is autoregressive, LLaDA is not";
        return Err(TrainError::config("objective", "not that of init", hint));
    }
    Ok(model)
}

/// The checkpoint in `folder`, to be trained as a whole, with a new adapter, or with one that there is.
fn of_checkpoint(folder: &Path, config: &RunConfig) -> Result<TrainableTransformer, TrainError> {
    let &RunConfig { seed, device, dtype, base_dtype, .. } = config;
    let base = base_dtype.unwrap_or(dtype.into());
    Ok(match (&config.adapter, &config.init_adapter) {
        (None, _) => TrainableTransformer::load(folder, device, dtype)?,
        (Some(adapter), None) => TrainableTransformer::with_new_adapter(folder, adapter, seed, base, device, dtype)?,
        (Some(settings), Some(adapter)) => {
            let adapter = Adapter::open(adapter)?.with_lora_dropout(settings.lora_dropout);
            TrainableTransformer::with_adapter(folder, &adapter, base, device, dtype)?
        }
    })
}

/// The config of a new model over the vocabulary of the tokenizer in `folder`.
fn new_config(shape: &ModelShape, folder: &Path, objective: Objective) -> Result<ModelConfig, TrainError> {
    let Some(tokenizer) = Tokenizer::open(folder)? else {
        return Err(TrainError::NoTokenizer { folder: folder.to_owned() });
    };
    let missing = |token| TrainError::file(folder, format!("the tokenizer has no {token} token"));
    let mask_id = tokenizer.mask_id().ok_or_else(|| missing("mask"))?;
    let eos_id = tokenizer.eos_id().ok_or_else(|| missing("end-of-text"))?;
    shape.config(objective, tokenizer.vocab_size(), mask_id, eos_id)
}

/// The tokenizer of the run's model.
pub(crate) fn tokenizer(config: &RunConfig) -> Result<Tokenizer, TrainError> {
    let missing = || TrainError::config("tokenizer", "missing", "give the folder of a tokenizer, or init");
    let folder = config.tokenizer_folder().ok_or_else(missing)?;
    Tokenizer::open(folder)?.ok_or_else(|| TrainError::NoTokenizer { folder: folder.to_owned() })
}

/// The dataset in `folder`, which has to be of this kind.
pub(crate) fn dataset(folder: &Path, kind: DatasetKind) -> Result<Dataset, TrainError> {
    let dataset = Dataset::open(folder)?;
    if dataset.kind() != kind {
        return Err(TrainError::OtherKind { folder: folder.to_owned(), found: dataset.kind() });
    }
    Ok(dataset)
}
