//! A scoring job. Each step scores a mini-batch of every option.

use llada_core::{
    likelihood::MaskingPlan,
    predictor::{Hidden, Row},
};

use super::{Score, ScoreConfig, ScoreRequest, sample::Samples};
use crate::{InferError, logits::LogitsBuffers, vocabulary::Vocabulary};

/// The state of one scoring job.
pub(crate) struct ActiveScore {
    config: ScoreConfig,
    mask_id: u32,
    options: Vec<OptionScore>,
    /// The samples of the next forward: the next mini-batch of each option that is not done.
    samples: Samples,
}

/// An option with its samples so far.
struct OptionScore {
    request: ScoreRequest,
    plan: MaskingPlan,
    /// For each sample so far, the log-probability of its masked tokens.
    log_p_masked: Vec<f64>,
}

impl OptionScore {
    fn samples_left(&self) -> usize {
        self.plan.perturbations().len() - self.log_p_masked.len()
    }
}

impl ActiveScore {
    /// Plans the samples of all options.
    ///
    /// # Errors
    /// If an answer is empty, a setting is invalid, or a sequence is too long.
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

    /// Prepares the samples of the next forward.
    fn prepare(&mut self) {
        self.samples = Samples::new(self.config.cfg_scale);
        for option in &self.options {
            let next = option.plan.perturbations().iter().skip(option.log_p_masked.len());
            for perturbation in next.take(self.batch_size()) {
                self.samples.push(&option.request, perturbation, self.mask_id);
            }
        }
    }

    /// Appends the rows of the next forward.
    pub(crate) fn push_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>) {
        self.samples.push_rows(rows);
    }

    /// Takes a step with the results of a forward, in which the job's first row is `first_row`.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn step<H: Hidden>(
        &mut self,
        hidden: &mut H,
        first_row: usize,
        buffers: &mut LogitsBuffers,
        vocabulary: &Vocabulary,
    ) -> Result<(), InferError> {
        let batch_size = self.batch_size();
        let mut sums = self.samples.log_p(hidden, first_row, buffers, vocabulary.padded_size)?.into_iter();
        for option in &mut self.options {
            let count = option.samples_left().min(batch_size);
            option.log_p_masked.extend(sums.by_ref().take(count));
        }
        self.prepare();
        Ok(())
    }

    /// The mini-batch size. It may be configured as 0 where no batch is needed.
    fn batch_size(&self) -> usize {
        self.config.batch_size.max(1)
    }

    /// Returns the number of samples so far and the number of all samples.
    pub(crate) fn samples(&self) -> (usize, usize) {
        let done = self.options.iter().map(|option| option.log_p_masked.len()).sum();
        let all = self.options.iter().map(|option| option.plan.perturbations().len()).sum();
        (done, all)
    }

    /// Returns the number of remaining forwards.
    pub(crate) fn forwards_left(&self) -> usize {
        self.options.iter().map(OptionScore::samples_left).max().unwrap_or(0).div_ceil(self.batch_size())
    }

    /// Returns the scores, in the order of the options.
    ///
    /// # Errors
    /// If samples are missing.
    pub(crate) fn into_scores(self) -> Result<Vec<Score>, InferError> {
        let mut scores = Vec::with_capacity(self.options.len());
        for OptionScore { request, plan, log_p_masked } in &self.options {
            let mut estimate = plan.estimate(log_p_masked)?;
            if self.config.is_exact(request.answer.len()) {
                estimate.standard_error = Some(0.0);
            }
            scores.push(Score { estimate, nfe: log_p_masked.len().div_ceil(self.batch_size()) });
        }
        Ok(scores)
    }
}
