//! Masked answers that share a forward.

use llada_core::{
    predictor::{Hidden, Row},
    sampling::log_softmax_at,
    trace::TokenLogprobs,
};

use super::ScoreRequest;
use crate::{
    InferError,
    logits::{LogitsBuffers, LogitsReader, LogitsRow, chunks},
    logprobs::token_logprobs,
    vocabulary::Vocabulary,
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
    /// The masked positions that are predicted.
    wanted: Vec<usize>,
    /// The tokens at these positions.
    targets: Vec<u32>,
    /// The number of alternatives that are told.
    top_logprobs: usize,
}

impl Samples {
    pub(crate) fn new(cfg_scale: f32) -> Self {
        Self { cfg_scale, samples: Vec::new() }
    }

    fn is_guided(&self) -> bool {
        self.cfg_scale > 0.0
    }

    /// Adds a sample: `option` with these tokens of its answer `masked`, of which the `predicted` ones are scored. Both are
    /// indices in ascending order.
    pub(crate) fn push(&mut self, option: &ScoreRequest, masked: &[usize], predicted: &[usize], mask_id: u32) {
        let &ScoreRequest { ref prompt, ref answer, ref suffix, top_logprobs } = option;
        let mut ids = [prompt.as_slice(), answer, suffix].concat();
        let (mut wanted, mut targets) = (Vec::new(), Vec::new());
        for &index in masked {
            ids[prompt.len() + index] = mask_id;
        }
        for &index in predicted {
            wanted.push(prompt.len() + index);
            targets.push(answer[index]);
        }
        let mut unconditional = Vec::new();
        if self.is_guided() {
            unconditional.resize(prompt.len(), mask_id);
            unconditional.extend_from_slice(&ids[prompt.len()..]);
        }
        self.samples.push(Sample { ids, unconditional, wanted, targets, top_logprobs });
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

    /// For each sample, computes log p of each of its predicted tokens, in nats. The first row of the samples in the
    /// forward is `first_row`.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn log_p<H: Hidden>(
        &self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        vocabulary: &Vocabulary,
    ) -> Result<Vec<Vec<f64>>, InferError> {
        self.read(hidden, first_row, buffers, vocabulary, |_, logits, target| log_softmax_at(logits, target))
    }

    /// The same, with the alternatives of each token.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn logprobs<H: Hidden>(
        &self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        vocabulary: &Vocabulary,
    ) -> Result<Vec<Vec<TokenLogprobs>>, InferError> {
        self.read(hidden, first_row, buffers, vocabulary, |sample, logits, target| {
            token_logprobs(logits, target, sample.top_logprobs, vocabulary)
        })
    }

    fn read<H: Hidden, T>(
        &self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        vocabulary: &Vocabulary,
        of: impl Fn(&Sample, &[f32], u32) -> T,
    ) -> Result<Vec<Vec<T>>, InferError> {
        let mut all = Vec::with_capacity(self.samples.len());
        let mut row = first_row;
        for sample in &self.samples {
            let targets = &sample.targets;
            let logits_row = LogitsRow::new(row, self.cfg_scale);
            let mut reader = LogitsReader { hidden: &mut *hidden, row: logits_row, buffers: &mut *buffers };
            let mut found = Vec::with_capacity(targets.len());
            for range in chunks(targets.len()) {
                let logits = reader.read(range.clone())?;
                for (logits, &target) in logits.chunks(vocabulary.padded_size).zip(&targets[range]) {
                    found.push(of(sample, logits, target));
                }
            }
            all.push(found);
            row += if self.is_guided() { 2 } else { 1 };
        }
        Ok(all)
    }
}
