//! Whole batches: everything submitted at once, and steps until all are done.

use std::{collections::BTreeMap, ops::ControlFlow};

use llada_core::predictor::MaskPredictor;

use super::{Engine, Event, Job, JobId, Progress};
use crate::{Generation, InferError, Request, Score, ScoreConfig, ScoreRequest};

impl<P: MaskPredictor> Engine<P> {
    /// Samples one answer.
    ///
    /// # Errors
    /// As [`generate_batch`](Self::generate_batch).
    pub fn generate(&mut self, request: &Request) -> Result<Generation, InferError> {
        let mut answers = self.generate_batch(std::slice::from_ref(request), |_| ControlFlow::Continue(()))?;
        Ok(answers.remove(0))
    }

    /// Samples the answers of a ragged batch; each is what it would be alone.
    ///
    /// `observe` is called after each step of each request, and may stop them all. Other jobs of the engine rest
    /// meanwhile.
    ///
    /// # Errors
    /// Some request is impossible, the predictor fails or gives logits that are not finite, or `observe` stopped.
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

    /// Estimates the log-likelihood of `answer` given `prompt` (which may be empty).
    ///
    /// `observe` is told the number of samples done and of all samples after each mini-batch, and may stop.
    ///
    /// # Errors
    /// The answer or a setting is empty, the sequence too long, the predictor fails, or `observe` stopped.
    pub fn score(
        &mut self,
        prompt: &[u32],
        answer: &[u32],
        config: &ScoreConfig,
        observe: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Score, InferError> {
        Ok(self.score_options(&[ScoreRequest::new(prompt, answer)], config, observe)?.remove(0))
    }

    /// Estimates the log-likelihoods of the options of one question, each as [`score`](Self::score) would alone.
    ///
    /// The options share the noise: those of one length are masked alike, so that their difference varies less than
    /// either. Their mini-batches go to the model together.
    ///
    /// # Errors
    /// As [`score`](Self::score), of any option.
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

    /// Runs jobs to their ends, and no others, until one fails or `observe` stops.
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
            self.advance(&running, |id, event| match event {
                _ if failure.is_some() => (),
                Event::Failed(error) => failure = Some(error),
                event => {
                    if observe(id, event).is_break() {
                        failure = Some(InferError::Interrupted);
                    }
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
