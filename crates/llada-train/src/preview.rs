//! What fine-tuning would see at its first step, and what it would leave out, without a model and without a step.

use std::ops::ControlFlow;

use crate::{
    TrainError,
    config::RunConfig,
    data::{DatasetKind, Source, Tally},
    loss::masked::MaskedLoss,
    start,
};

/// The first batch of a run, and the counts of its data.
#[derive(Debug)]
pub struct Preview {
    /// The rows of the batch. With complementary masks each is there twice.
    pub rows: Vec<PreviewRow>,
    /// What the data has and what is left out; none for prepared data, which was counted when it was prepared.
    pub tally: Option<Tally>,
}

/// A row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewRow {
    /// Its token ids.
    pub ids: Vec<u32>,
    /// Whether each token may be masked.
    pub maskable: Vec<bool>,
    /// Whether it is, in this step.
    pub masked: Vec<bool>,
}

/// Opens the data of a run of fine-tuning, masks its first batch, and reads all of its conversations once. `observe`
/// hears how many of how many were read, and says whether to go on.
///
/// # Errors
/// Those of [`Run::open`](crate::run::Run::open) that concern the data.
pub fn preview(
    config: &RunConfig,
    mut observe: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ControlFlow<(), Preview>, TrainError> {
    let model = start::config(config)?;
    let mut loss = MaskedLoss::new(Source::open(config, DatasetKind::Sft, &model)?, &model, config);
    let (rows, batch) = loss.batch(0)?;
    let mut shown = Vec::new();
    if let Some(answers) = &rows.answers {
        let mut seen = batch.batch().ids;
        for (index, &length) in batch.batch().row_lengths.iter().enumerate() {
            let row = index % rows.count();
            let tokens = row * rows.row_length..row * rows.row_length + length;
            let ids = rows.ids[tokens.clone()].to_vec();
            let masked = ids.iter().zip(seen).map(|(id, seen)| id != seen).collect();
            seen = &seen[length..];
            shown.push(PreviewRow { ids, maskable: answers.maskable[tokens].to_vec(), masked });
        }
    }
    Ok(loss.source().survey(&mut observe)?.map_continue(|tally| Preview { rows: shown, tally }))
}
