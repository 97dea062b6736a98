//! What every model holds of the rows of a batch: which it refuses, and how many it computes together.

use llada_core::predictor::Row;

use crate::{ModelConfig, ModelError};

/// The ids that a model never emits, ascending: the mask, and rows of the head that no token has.
pub(crate) fn banned_ids(config: &ModelConfig) -> Vec<u32> {
    let mut banned: Vec<u32> = (config.vocab_size as u32..config.padded_vocab_size as u32).collect();
    // A mask without a row in the head has no logit to ban.
    if (config.mask_token_id as usize) < config.vocab_size {
        banned.insert(0, config.mask_token_id);
    }
    banned
}

/// Refuses a row that is empty or too long, that has ids of no token, or that wants positions which are not computed.
pub(crate) fn check_row(config: &ModelConfig, index: usize, row: &Row<'_>) -> Result<(), ModelError> {
    let refuse = |message: String| Err(ModelError::Row { row: index, message });
    let (length, max_sequence_length) = (row.ids.len(), config.max_sequence_length);
    if length == 0 {
        return refuse("it has no tokens".to_owned());
    }
    if length > max_sequence_length {
        return Err(ModelError::TooLong { length, max_sequence_length });
    }
    let vocab_size = config.vocab_size;
    for (position, &id) in row.ids.iter().enumerate() {
        if !config.knows(id) {
            return Err(ModelError::TokenOutOfRange { id, position, vocab_size });
        }
    }
    let computed = row.recompute.range(length);
    if let Some(position) = row.wanted.iter().find(|position| !computed.contains(position)) {
        return refuse(format!("logits of position {position} are wanted, {computed:?} is computed"));
    }
    Ok(())
}

/// The number of rows of a batch that go through the layers together on `device`, of `rows` that are computed.
///
/// A processor is busy with one row; and alone a row's matrix products round alike whatever the batch, which makes its
/// tokens independent of the company it keeps. A GPU needs the rows together.
pub(crate) fn rows_together(device: tch::Device, rows: usize) -> usize {
    if device == tch::Device::Cpu { 1 } else { rows.max(1) }
}
