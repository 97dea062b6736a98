//! Masked answers on their way through one forward.

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

/// The samples of a mini-batch, or of several options' mini-batches.
pub(super) struct Samples {
    /// The scale of guidance; 0 is none.
    cfg_scale: f32,
    samples: Vec<Sample>,
}

struct Sample {
    ids: Vec<u32>,
    /// The ids without the prompt, for guidance.
    unconditional: Vec<u32>,
    /// The masked positions.
    wanted: Vec<usize>,
    /// The tokens that stood there.
    targets: Vec<u32>,
}

impl Samples {
    pub(super) fn new(cfg_scale: f32) -> Self {
        Self { cfg_scale, samples: Vec::new() }
    }

    fn is_guided(&self) -> bool {
        self.cfg_scale > 0.0
    }

    /// Adds `option` with the tokens masked that `perturbation` says.
    pub(super) fn push(&mut self, option: &ScoreRequest, perturbation: &Perturbation, mask_id: u32) {
        let ScoreRequest { prompt, answer } = option;
        let mut ids = [prompt.as_slice(), answer].concat();
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

    /// Appends the rows of a forward over all samples.
    pub(super) fn push_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>) {
        for Sample { ids, unconditional, wanted, .. } in &self.samples {
            rows.push(Row::new(ids, wanted));
            if self.is_guided() {
                rows.push(Row::new(unconditional, wanted));
            }
        }
    }

    /// For each sample, the sum of log p over the tokens that are masked in it, in nats. The rows of the samples begin
    /// with `first_row`.
    ///
    /// # Errors
    /// The predictor fails.
    pub(super) fn log_p<H: Hidden>(
        &self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        padded_vocab_size: usize,
    ) -> Result<Vec<f64>, InferError> {
        let mut sums = Vec::with_capacity(self.samples.len());
        let mut row = first_row;
        for Sample { targets, .. } in &self.samples {
            let unconditional = self.is_guided().then_some((row + 1, self.cfg_scale));
            let mut reader =
                LogitsReader { hidden: &mut *hidden, row: LogitsRow { row, unconditional }, buffers: &mut *buffers };
            let mut sum = 0.0;
            for range in chunks(targets.len()) {
                let logits = reader.read(range.clone())?;
                let rows = logits.chunks(padded_vocab_size).zip(&targets[range]);
                sum += rows.map(|(logits, &target)| log_softmax_at(logits, target)).sum::<f64>();
            }
            sums.push(sum);
            row += if self.is_guided() { 2 } else { 1 };
        }
        Ok(sums)
    }
}
