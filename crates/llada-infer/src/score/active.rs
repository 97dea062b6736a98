//! Options that are being scored, a mini-batch of each a step.

use llada_core::{
    likelihood::MaskingPlan,
    predictor::{Hidden, Row},
};

use super::{Score, ScoreConfig, ScoreRequest, sample::Samples};
use crate::{InferError, logits::LogitsBuffers, vocabulary::Vocabulary};

/// The state of one job.
pub(crate) struct ActiveScore {
    config: ScoreConfig,
    mask_id: u32,
    options: Vec<OptionScore>,
    /// The samples of the next forward: each option's next mini-batch, none of one that is done.
    samples: Samples,
}

/// One option, and what is known of it.
struct OptionScore {
    request: ScoreRequest,
    plan: MaskingPlan,
    /// By sample so far.
    log_p_masked: Vec<f64>,
}

impl OptionScore {
    /// The samples that are left, at most `batch_size` of them.
    fn next_batch(&self, batch_size: usize) -> usize {
        (self.plan.perturbations().len() - self.log_p_masked.len()).min(batch_size)
    }
}

impl ActiveScore {
    /// # Errors
    /// An answer or a setting is empty, or a sequence too long.
    pub(crate) fn new(
        options: Vec<ScoreRequest>,
        config: ScoreConfig,
        mask_id: u32,
        max_sequence_length: usize,
    ) -> Result<Self, InferError> {
        config.validate(&options, max_sequence_length)?;
        let mut active = Self { mask_id, options: Vec::new(), samples: Samples::new(config.cfg_scale), config };
        for request in options {
            let plan = active.config.plan(request.answer.len())?;
            active.options.push(OptionScore { request, plan, log_p_masked: Vec::new() });
        }
        active.prepare();
        Ok(active)
    }

    /// Masks the answers of the next forward.
    fn prepare(&mut self) {
        self.samples = Samples::new(self.config.cfg_scale);
        for option in &self.options {
            let next = option.plan.perturbations().iter().skip(option.log_p_masked.len());
            for perturbation in next.take(self.config.batch_size.max(1)) {
                self.samples.push(&option.request, perturbation, self.mask_id);
            }
        }
    }

    /// Appends the rows of the next forward.
    pub(crate) fn push_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>) {
        self.samples.push_rows(rows);
    }

    /// Takes in what the forward over its rows has computed, the first of which is `first_row`.
    ///
    /// # Errors
    /// The predictor fails.
    pub(crate) fn step<H: Hidden>(
        &mut self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        vocabulary: &Vocabulary,
    ) -> Result<(), InferError> {
        let mut sums = self.samples.log_p(hidden, first_row, buffers, vocabulary.padded_size)?.into_iter();
        for option in &mut self.options {
            let count = option.next_batch(self.config.batch_size.max(1));
            option.log_p_masked.extend(sums.by_ref().take(count));
        }
        self.prepare();
        Ok(())
    }

    /// The number of samples so far, and of all.
    pub(crate) fn samples(&self) -> (usize, usize) {
        let done = self.options.iter().map(|option| option.log_p_masked.len()).sum();
        let all = self.options.iter().map(|option| option.plan.perturbations().len()).sum();
        (done, all)
    }

    /// The forwards that are left.
    pub(crate) fn forwards_left(&self) -> usize {
        let left = |option: &OptionScore| option.plan.perturbations().len() - option.log_p_masked.len();
        self.options.iter().map(left).max().unwrap_or(0).div_ceil(self.config.batch_size.max(1))
    }

    /// The estimates.
    ///
    /// # Errors
    /// Samples are missing.
    pub(crate) fn into_scores(self) -> Result<Vec<Score>, InferError> {
        let mut scores = Vec::with_capacity(self.options.len());
        for OptionScore { request, plan, log_p_masked } in &self.options {
            let mut estimate = plan.estimate(log_p_masked)?;
            if self.config.is_exact(request.answer.len()) {
                estimate.standard_error = Some(0.0);
            }
            scores.push(Score { estimate, nfe: log_p_masked.len().div_ceil(self.config.batch_size.max(1)) });
        }
        Ok(scores)
    }
}
