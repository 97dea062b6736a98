//! Masked answers that share a forward.

use llada_core::{
    likelihood::Perturbation,
    predictor::{Hidden, Row},
    sampling::log_softmax_at,
};

use super::ScoreRequest;
use crate::{
    InferError,
    logits::{LogitsBuffers, LogitsReader, LogitsRow, chunks},
};

/// The samples of a forward: mini-batches of one or several options.
pub(crate) struct Samples {
    /// The scale of guidance; 0 means none.
    cfg_scale: f32,
    samples: Vec<Sample>,
}

struct Sample {
    ids: Vec<u32>,
    /// The ids with the prompt masked, for guidance.
    unconditional: Vec<u32>,
    /// The masked positions.
    wanted: Vec<usize>,
    /// The tokens at the masked positions.
    targets: Vec<u32>,
}

impl Samples {
    pub(crate) fn new(cfg_scale: f32) -> Self {
        Self { cfg_scale, samples: Vec::new() }
    }

    fn is_guided(&self) -> bool {
        self.cfg_scale > 0.0
    }

    /// Adds a sample: `option` with the tokens of `perturbation` masked.
    pub(crate) fn push(&mut self, option: &ScoreRequest, perturbation: &Perturbation, mask_id: u32) {
        let ScoreRequest { prompt, answer, suffix } = option;
        let mut ids = [prompt.as_slice(), answer, suffix].concat();
        let (mut wanted, mut targets) = (Vec::new(), Vec::new());
        for &index in &perturbation.masked {
            wanted.push(prompt.len() + index);
            targets.push(answer[index]);
            ids[prompt.len() + index] = mask_id;
        }
        let mut unconditional = Vec::new();
        if self.is_guided() {
            unconditional.resize(prompt.len(), mask_id);
            unconditional.extend_from_slice(&ids[prompt.len()..]);
        }
        self.samples.push(Sample { ids, unconditional, wanted, targets });
    }

    /// Appends the rows of all samples.
    pub(crate) fn push_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>) {
        for Sample { ids, unconditional, wanted, .. } in &self.samples {
            rows.push(Row::new(ids, wanted));
            if self.is_guided() {
                rows.push(Row::new(unconditional, wanted));
            }
        }
    }

    /// For each sample, computes log p of each of its masked tokens, in nats. The first row of the samples in the forward
    /// is `first_row`.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn log_p<H: Hidden>(
        &self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        padded_vocab_size: usize,
    ) -> Result<Vec<Vec<f64>>, InferError> {
        let mut all = Vec::with_capacity(self.samples.len());
        let mut row = first_row;
        for Sample { targets, .. } in &self.samples {
            let logits_row = LogitsRow::new(row, self.cfg_scale);
            let mut reader = LogitsReader { hidden: &mut *hidden, row: logits_row, buffers: &mut *buffers };
            let mut log_p = Vec::with_capacity(targets.len());
            for range in chunks(targets.len()) {
                let logits = reader.read(range.clone())?;
                for (logits, &target) in logits.chunks(padded_vocab_size).zip(&targets[range]) {
                    log_p.push(log_softmax_at(logits, target));
                }
            }
            all.push(log_p);
            row += if self.is_guided() { 2 } else { 1 };
        }
        Ok(all)
    }
}
