//! Cross-entropy of held-out text at fixed mask ratios: the same tokens are masked whatever the model.

use llada_core::rng::Noise;
use llada_model::TrainableTransformer;
use llada_train::{data::Dataset, objective::MaskedBatch};

use crate::train::ROW_LENGTH;

/// The parts of the tokens that are masked: as in BERT, half, and nearly all.
pub(crate) const RATIOS: [f32; 3] = [0.15, 0.5, 0.9];

const ROWS: usize = 64;
/// Computed together.
const BATCH: usize = 8;

/// The mean cross-entropy of masked tokens in nats, for each of [`RATIOS`].
pub(crate) fn cross_entropies(model: &mut TrainableTransformer, data: &Dataset) -> anyhow::Result<[f64; RATIOS.len()]> {
    let mask_id = model.config().mask_token_id;
    let rows: Vec<usize> = (0..ROWS.min(data.rows(ROW_LENGTH))).collect();
    let mut means = [0.0; RATIOS.len()];
    for (mean, ratio) in means.iter_mut().zip(RATIOS) {
        let (mut sum, mut count) = (0.0, 0);
        for some in rows.chunks(BATCH) {
            let uniform: Vec<f64> = some
                .iter()
                .flat_map(|&row| {
                    let stream = Noise::new(0).stream(row as u64, 0, 0);
                    (0..ROW_LENGTH as u32).map(move |token| stream.at(token))
                })
                .collect();
            let batch =
                MaskedBatch::diffusion(&data.read(some, ROW_LENGTH), &vec![ratio; some.len()], &uniform, mask_id)?;
            let losses = model.cross_entropy(&batch.batch())?;
            sum += losses.iter().copied().map(f64::from).sum::<f64>();
            count += losses.len();
        }
        *mean = sum / f64::from(count.max(1) as u32);
    }
    Ok(means)
}
