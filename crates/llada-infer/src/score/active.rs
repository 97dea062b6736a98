//! A scoring job. Each step scores a mini-batch of every option.

use llada_core::{
    likelihood::MaskingPlan,
    predictor::{Hidden, Row},
    trace::TokenLogprobs,
};

use super::{Estimator, Score, ScoreConfig, ScoreRequest, confidence::Reveal, sample::Samples};
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
    method: Method,
}

/// The way in which an option is scored.
enum Method {
    /// Masks that are drawn in advance.
    Sampled {
        plan: MaskingPlan,
        /// For each sample so far, the log-probability of its masked tokens.
        log_p_masked: Vec<f64>,
    },
    /// Masks that each depend on the forward before.
    Confidence(Reveal),
    /// The tokens that were predicted so far, one after the other.
    LeftToRight(Vec<TokenLogprobs>),
}

impl OptionScore {
    fn samples_done(&self) -> usize {
        match &self.method {
            Method::Sampled { log_p_masked, .. } => log_p_masked.len(),
            Method::Confidence(reveal) => reveal.revealed(),
            Method::LeftToRight(logprobs) => logprobs.len(),
        }
    }

    fn samples_left(&self) -> usize {
        match &self.method {
            Method::Sampled { plan, log_p_masked } => plan.perturbations().len() - log_p_masked.len(),
            Method::Confidence(reveal) => reveal.left(),
            Method::LeftToRight(logprobs) => self.request.answer.len() - logprobs.len(),
        }
    }

    /// Returns the number of samples that share a forward.
    fn samples_together(&self, batch_size: usize) -> usize {
        match &self.method {
            Method::Sampled { .. } | Method::LeftToRight(_) => batch_size,
            Method::Confidence(_) => 1,
        }
    }
}

impl ActiveScore {
    /// Plans the samples of all options.
    ///
    /// # Errors
    /// If an answer is empty, a setting is invalid, an id is unknown, or a sequence is too long.
    pub(crate) fn new(
        options: Vec<ScoreRequest>,
        config: ScoreConfig,
        vocabulary: &Vocabulary,
        max_sequence_length: usize,
    ) -> Result<Self, InferError> {
        config.validate(&options, vocabulary, max_sequence_length)?;
        let mask_id = vocabulary.mask_id;
        let mut active = Self { mask_id, options: Vec::new(), samples: Samples::new(config.cfg_scale), config };
        for request in options {
            let method = match active.config.estimator {
                Estimator::Confidence => Method::Confidence(Reveal::new(request.answer.len())),
                Estimator::LeftToRight => Method::LeftToRight(Vec::new()),
                _ => Method::Sampled { plan: active.config.plan(request.answer.len())?, log_p_masked: Vec::new() },
            };
            active.options.push(OptionScore { request, method });
        }
        active.prepare();
        Ok(active)
    }

    /// Prepares the samples of the next forward.
    fn prepare(&mut self) {
        self.samples = Samples::new(self.config.cfg_scale);
        for option in &self.options {
            match &option.method {
                Method::Sampled { plan, log_p_masked } => {
                    let next = plan.perturbations().iter().skip(log_p_masked.len());
                    for perturbation in next.take(self.config.batch_size.max(1)) {
                        let masked = &perturbation.masked;
                        self.samples.push(&option.request, masked, masked, self.mask_id);
                    }
                }
                Method::Confidence(reveal) if reveal.left() > 0 => {
                    self.samples.push(&option.request, reveal.masked(), reveal.masked(), self.mask_id);
                }
                Method::Confidence(_) => {}
                Method::LeftToRight(logprobs) => {
                    let all: Vec<usize> = (0..option.request.answer.len()).collect();
                    let left = &all[logprobs.len()..];
                    for index in 0..left.len().min(self.batch_size()) {
                        self.samples.push(&option.request, &left[index..], &left[index..=index], self.mask_id);
                    }
                }
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
        if self.config.estimator == Estimator::LeftToRight {
            let mut predicted = self.samples.logprobs(hidden, first_row, buffers, vocabulary)?.into_iter().flatten();
            for option in &mut self.options {
                let count = option.samples_left().min(batch_size);
                if let Method::LeftToRight(logprobs) = &mut option.method {
                    logprobs.extend(predicted.by_ref().take(count));
                }
            }
        } else {
            let mut log_p = self.samples.log_p(hidden, first_row, buffers, vocabulary)?.into_iter();
            for option in &mut self.options {
                let count = option.samples_left().min(option.samples_together(batch_size));
                for log_p in log_p.by_ref().take(count) {
                    match &mut option.method {
                        Method::Sampled { log_p_masked, .. } => log_p_masked.push(log_p.iter().sum()),
                        Method::Confidence(reveal) => reveal.reveal(&log_p),
                        Method::LeftToRight(_) => {}
                    }
                }
            }
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
        let done: usize = self.options.iter().map(OptionScore::samples_done).sum();
        let left: usize = self.options.iter().map(OptionScore::samples_left).sum();
        (done, done + left)
    }

    /// Returns the number of remaining forwards.
    pub(crate) fn forwards_left(&self) -> usize {
        let forwards =
            |option: &OptionScore| option.samples_left().div_ceil(option.samples_together(self.batch_size()));
        self.options.iter().map(forwards).max().unwrap_or(0)
    }

    /// Returns the scores, in the order of the options.
    ///
    /// # Errors
    /// If samples are missing.
    pub(crate) fn into_scores(self) -> Result<Vec<Score>, InferError> {
        let mut scores = Vec::with_capacity(self.options.len());
        for option in self.options {
            let together = option.samples_together(self.config.batch_size.max(1));
            let (nfe, length) = (option.samples_done().div_ceil(together), option.request.answer.len());
            scores.push(match option.method {
                Method::Confidence(reveal) => Score::exact(reveal.log_likelihood(), length, nfe),
                Method::LeftToRight(logprobs) => {
                    let log_likelihood = logprobs.iter().map(|token| f64::from(token.logprob)).sum();
                    Score { logprobs, ..Score::exact(log_likelihood, length, nfe) }
                }
                Method::Sampled { plan, log_p_masked } if self.config.is_exact(length) => {
                    Score::exact(plan.estimate(&log_p_masked)?.log_likelihood, length, nfe)
                }
                Method::Sampled { plan, log_p_masked } => {
                    let (estimate, deviations) = (plan.estimate(&log_p_masked)?, plan.deviations(&log_p_masked)?);
                    Score { estimate, nfe, deviations, logprobs: Vec::new() }
                }
            });
        }
        Ok(scores)
    }
}
