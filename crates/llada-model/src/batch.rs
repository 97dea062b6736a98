//! Rules for batches that inference and training share: which rows are refused, which ids are banned, and how many rows
//! are computed together.

use llada_core::predictor::Row;

use crate::{AttentionPattern, ModelConfig, ModelError};

/// Returns the ids that a model never emits, in ascending order: the mask, and the rows of the head beyond the
/// vocabulary.
pub(crate) fn banned_ids(config: &ModelConfig) -> Vec<u32> {
    let mut banned: Vec<u32> = (config.vocab_size as u32..config.padded_vocab_size as u32).collect();
    // In some families the mask has no row in the head, and hence no logit to ban.
    if (config.mask_token_id as usize) < config.vocab_size {
        banned.insert(0, config.mask_token_id);
    }
    banned
}

/// Refuses a row that is empty or too long, has ids outside the vocabulary or at impossible positions, or wants positions
/// that it does not compute.
pub(crate) fn check_row(config: &ModelConfig, index: usize, row: &Row<'_>) -> Result<(), ModelError> {
    let refuse = |message: String| Err(ModelError::Row { row: index, message });
    let max_sequence_length = config.max_sequence_length;
    if row.ids.is_empty() {
        return refuse("it has no tokens".to_owned());
    }
    if let Some(positions) = row.positions {
        if positions.len() != row.ids.len() || !positions.is_sorted_by(|a, b| a < b) {
            return refuse(format!("its {} ids need as many ascending positions", row.ids.len()));
        }
        // Elsewhere what a query sees is counted from one end of the row to the other.
        if config.attention != AttentionPattern::Full {
            return refuse("a part of a sequence is computed under full attention alone".to_owned());
        }
    }
    let length = row.extent();
    if length > max_sequence_length {
        return Err(ModelError::TooLong { length, max_sequence_length });
    }
    let vocab_size = config.vocab_size;
    for (position, &id) in row.ids.iter().enumerate() {
        if !config.knows(id) {
            return Err(ModelError::TokenOutOfRange { id, position, vocab_size });
        }
    }
    let computed = row.recompute.range(row.ids.len());
    if let Some(position) = row.wanted.iter().find(|position| !computed.contains(position)) {
        return refuse(format!("logits of position {position} are wanted, {computed:?} is computed"));
    }
    Ok(())
}

/// Returns the number of rows, of `rows` in all, that pass through the layers together on `device`.
///
/// On a CPU this is one: a single row keeps all cores busy, and computed alone, its matrix products round in the same
/// way whatever the batch, so that its tokens do not depend on the other rows. A GPU is only busy with all rows
/// together.
pub(crate) fn rows_together(device: tch::Device, rows: usize) -> usize {
    if device == tch::Device::Cpu { 1 } else { rows.max(1) }
}
