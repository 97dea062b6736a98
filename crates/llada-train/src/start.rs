//! What a run starts from: its model before the first step, and its datasets.

use std::path::Path;

use llada_model::{Tokenizer, TrainableTransformer};

use crate::{
    TrainError,
    config::{ModelShape, RunConfig},
    data::{Dataset, DatasetKind},
    objective::Objective,
};

/// The model before the first step.
pub(crate) fn model(config: &RunConfig) -> Result<TrainableTransformer, TrainError> {
    let mut model = match (&config.init, &config.model, &config.tokenizer) {
        (Some(folder), None, _) => of_checkpoint(folder, config)?,
        (None, Some(shape), Some(tokenizer)) => new_model(shape, tokenizer, config)?,
        (Some(folder), Some(_), _) => {
            return Err(TrainError::config("init", folder.display(), "it has a shape: leave out [model]"));
        }
        (None, ..) => return Err(TrainError::config("init", "missing", "give it, or both [model] and tokenizer")),
    };
    if model.config().is_causal() != (config.objective == Objective::Ar) {
        let hint = "a causal model is autoregressive, LLaDA is not";
        return Err(TrainError::config("objective", "not that of init", hint));
    }
    model.set_activation_checkpointing(config.activation_checkpointing);
    Ok(model)
}

/// The checkpoint in `folder`, to be trained as a whole or with a new adapter.
fn of_checkpoint(folder: &Path, config: &RunConfig) -> Result<TrainableTransformer, TrainError> {
    let &RunConfig { seed, device, dtype, base_dtype, .. } = config;
    Ok(match &config.adapter {
        None => TrainableTransformer::load(folder, device, dtype)?,
        Some(adapter) => {
            let base = base_dtype.unwrap_or(dtype.into());
            TrainableTransformer::with_new_adapter(folder, adapter, seed, base, device, dtype)?
        }
    })
}

/// A model with new weights, over the vocabulary of the tokenizer in `folder`.
fn new_model(shape: &ModelShape, folder: &Path, config: &RunConfig) -> Result<TrainableTransformer, TrainError> {
    let Some(tokenizer) = Tokenizer::open(folder)? else {
        return Err(TrainError::NoTokenizer { folder: folder.to_owned() });
    };
    let missing = |token| TrainError::file(folder, format!("the tokenizer has no {token} token"));
    let mask_id = tokenizer.mask_id().ok_or_else(|| missing("mask"))?;
    let eos_id = tokenizer.eos_id().ok_or_else(|| missing("end-of-text"))?;
    let shape = shape.config(config.objective, tokenizer.vocab_size(), mask_id, eos_id)?;
    Ok(TrainableTransformer::new(shape, config.seed, config.device, config.dtype)?)
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
