//! Whole batches: jobs that are submitted together and run until all of them are done.

use std::{collections::BTreeMap, ops::ControlFlow};

use llada_core::{likelihood::Perturbation, predictor::MaskPredictor};

use super::{Engine, Event, Job, JobId, Progress};
use crate::{Generation, InferError, Request, Score, ScoreConfig, ScoreRequest, score::Samples};

impl<P: MaskPredictor> Engine<P> {
    /// Samples one answer.
    ///
    /// # Errors
    /// As for [`generate_batch`](Self::generate_batch).
    pub fn generate(&mut self, request: &Request) -> Result<Generation, InferError> {
        let mut answers = self.generate_batch(std::slice::from_ref(request), |_| ControlFlow::Continue(()))?;
        Ok(answers.remove(0))
    }

    /// Samples the answers of a ragged batch, in the order of the requests. Each answer is the same as if it were sampled
    /// alone.
    ///
    /// `observe` is called after each step of each request and can stop the batch. Other jobs of the engine do not advance
    /// in the meantime.
    ///
    /// # Errors
    /// If a request is invalid, if the predictor fails or its logits are not finite, or if `observe` stops the batch.
    pub fn generate_batch(
        &mut self,
        requests: &[Request],
        mut observe: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, InferError> {
        let jobs: Vec<Job> = requests.iter().cloned().map(Job::from).collect();
        let mut answers = BTreeMap::new();
        self.run(jobs, |id, event| {
            match event {
                Event::Step(progress) => return observe(progress),
                Event::Finished(answer) => drop(answers.insert(id, answer)),
                _ => (),
            }
            ControlFlow::Continue(())
        })?;
        Ok(answers.into_values().collect())
    }

    /// Estimates the log-likelihood of `answer` given `prompt`, which may be empty.
    ///
    /// After each mini-batch, `observe` is called with the number of samples so far and the number of all samples. It can
    /// stop the estimate.
    ///
    /// # Errors
    /// If the answer is empty, a setting is invalid, or the sequence is too long; if the predictor fails; or if `observe`
    /// stops the estimate.
    pub fn score(
        &mut self,
        prompt: &[u32],
        answer: &[u32],
        config: &ScoreConfig,
        observe: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Score, InferError> {
        Ok(self.score_options(&[ScoreRequest::new(prompt, answer)], config, observe)?.remove(0))
    }

    /// Estimates the log-likelihoods of the options of one question. Each estimate is the same as that of
    /// [`score`](Self::score).
    ///
    /// The options share their noise: options of the same length are masked alike, so the difference of their scores has a
    /// lower variance than each score. Their mini-batches share a forward.
    ///
    /// # Errors
    /// As for [`score`](Self::score), for any of the options.
    pub fn score_options(
        &mut self,
        options: &[ScoreRequest],
        config: &ScoreConfig,
        mut observe: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Vec<Score>, InferError> {
        let mut scores = Vec::new();
        let job = Job::Score { options: options.to_vec(), config: config.clone() };
        self.run(vec![job], |_, event| {
            match event {
                Event::Sampled { done, all } => return observe(done, all),
                Event::Scored(found) => scores = found,
                _ => (),
            }
            ControlFlow::Continue(())
        })?;
        Ok(scores)
    }

    /// For each perturbation of the answer, computes the sum of log p over the tokens that it masks, in nats.
    ///
    /// # Errors
    /// If the sequence is too long or the predictor fails.
    pub fn log_p_masked(
        &mut self,
        prompt: &[u32],
        answer: &[u32],
        perturbations: &[Perturbation],
        cfg_scale: f32,
    ) -> Result<Vec<f64>, InferError> {
        let option = ScoreRequest::new(prompt, answer);
        option.check_length(self.predictor.max_sequence_length())?;
        let mut samples = Samples::new(cfg_scale);
        for perturbation in perturbations {
            let masked = &perturbation.masked;
            samples.push(&option, masked, masked, self.vocabulary.mask_id);
        }
        let mut rows = Vec::new();
        samples.push_rows(&mut rows);
        let mut hidden = self.predictor.forward(&rows).map_err(InferError::predict)?;
        let log_p = samples.log_p(&mut hidden, 0, &mut self.buffers, &self.vocabulary)?;
        Ok(log_p.iter().map(|log_p| log_p.iter().sum()).collect())
    }

    /// Submits `jobs` and advances them, and no others, until all have ended, one fails, or `observe` stops them.
    fn run(
        &mut self,
        jobs: Vec<Job>,
        mut observe: impl FnMut(JobId, Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), InferError> {
        let mut running = Vec::with_capacity(jobs.len());
        let mut failure = None;
        for job in jobs {
            match self.submit(job) {
                Ok(id) => running.push(id),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        while failure.is_none() && !running.is_empty() {
            self.advance(&running, |id, event| {
                // After a failure the remaining events of the step are of no interest.
                if failure.is_some() {
                    return;
                }
                if let Event::Failed(error) = event {
                    failure = Some(error);
                } else if observe(id, event).is_break() {
                    failure = Some(InferError::Interrupted);
                }
            });
            running.retain(|id| self.jobs.contains_key(id));
        }
        let Some(error) = failure else { return Ok(()) };
        for id in running {
            self.cancel(id);
        }
        Err(error)
    }
}
