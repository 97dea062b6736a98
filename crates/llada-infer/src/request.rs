//! Requests to generate an answer, and their results.

use std::{fmt, sync::Arc};

use llada_core::{automaton::TokenDfa, trace::Trace};

use crate::{Cache, Decoder, SamplerConfig};

/// A request to generate an answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The token ids of the prompt. Masks in it are filled in too.
    pub prompt: Vec<u32>,
    /// The options of the sampler.
    pub config: SamplerConfig,
    /// A custom decoder, which replaces the config's.
    pub(crate) decoder: Option<Arc<dyn Decoder>>,
    /// A custom cache, which replaces the config's.
    pub(crate) cache: Option<Arc<dyn Cache>>,
    /// A condition that ends the answer.
    pub(crate) stop: Option<Arc<dyn Stop>>,
    /// The language of the answer.
    pub(crate) constraint: Option<Arc<TokenDfa>>,
    /// The languages of the runs of masks in the prompt, in their order.
    pub(crate) hole_constraints: Vec<Option<Arc<TokenDfa>>>,
    /// The number of alternatives whose log-probabilities are recorded with those of the commits.
    pub(crate) top_logprobs: Option<usize>,
}

/// A condition that ends an answer before its length does, such as a text in it.
pub trait Stop: fmt::Debug + Send + Sync {
    /// Returns true if the answer is to end with `output`, the answer up to the end of a block. It is asked at the end of
    /// each block.
    fn is_reached(&self, output: &[u32]) -> bool;
}

impl Request {
    /// Creates a request to answer `prompt` and to fill in its masks.
    pub fn new(prompt: impl Into<Vec<u32>>, config: SamplerConfig) -> Self {
        Self {
            prompt: prompt.into(),
            config,
            decoder: None,
            cache: None,
            stop: None,
            constraint: None,
            hole_constraints: Vec::new(),
            top_logprobs: None,
        }
    }

    /// Replaces the decoder of the config with a custom one.
    #[must_use]
    pub fn with_decoder(mut self, decoder: impl Decoder + 'static) -> Self {
        self.decoder = Some(Arc::new(decoder));
        self
    }

    /// Replaces the cache of the config with a custom one.
    #[must_use]
    pub fn with_cache(mut self, cache: impl Cache + 'static) -> Self {
        self.cache = Some(Arc::new(cache));
        self
    }

    /// Ends the answer at the first end of a block where `stop` is reached.
    #[must_use]
    pub fn with_stop(mut self, stop: impl Stop + 'static) -> Self {
        self.stop = Some(Arc::new(stop));
        self
    }

    /// Returns true if the request has a condition that ends its answer, and `output` meets it.
    pub fn is_stopped_by(&self, output: &[u32]) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.is_reached(output))
    }

    /// Constrains the answer: its tokens before the first end-of-text or end-of-turn, or all of them if there is none, are
    /// a string that the automaton accepts.
    ///
    /// That holds with every decoder, cache and length policy, and with any number of forwards of at least one a block. A
    /// request that no answer of its `gen_length` can satisfy is refused. The automaton must not emit the mask, the special
    /// tokens that end an answer, or ids that the model bans. One that accepts everything changes nothing.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Arc<TokenDfa>) -> Self {
        self.constraint = Some(constraint);
        self
    }

    /// Constrains the runs of masks in the prompt, in their order: each is filled with a string of exactly its length that
    /// its automaton accepts. Runs without an automaton are free.
    #[must_use]
    pub fn with_hole_constraints(mut self, constraints: Vec<Option<Arc<TokenDfa>>>) -> Self {
        self.hole_constraints = constraints;
        self
    }

    /// Records the log-probability of every committed token in the trace, and those of its `count` most probable
    /// alternatives ([`TokenLogprobs`](llada_core::trace::TokenLogprobs)). It changes no token, and reads the logits of
    /// the committed positions a second time.
    #[must_use]
    pub fn with_top_logprobs(mut self, count: usize) -> Self {
        self.top_logprobs = Some(count);
        self
    }

    /// Creates one request per prompt. Their seeds ascend from `config.seed`, because requests with the same seed would
    /// share their noise.
    pub fn for_each(prompts: &[Vec<u32>], config: &SamplerConfig) -> Vec<Self> {
        let mut requests = Vec::with_capacity(prompts.len());
        for (index, prompt) in (0..).zip(prompts) {
            let config = SamplerConfig { seed: config.seed.wrapping_add(index), ..config.clone() };
            requests.push(Self::new(prompt.as_slice(), config));
        }
        requests
    }
}

/// A generated answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Generation {
    /// The token ids of the prompt, with its masks filled in.
    pub prompt: Vec<u32>,
    /// The token ids of the answer. If the request stopped at an end-of-text token, that is the last one.
    pub output: Vec<u32>,
    /// The number of forward evaluations; a guided one, with its doubled batch, counts once.
    pub nfe: usize,
    /// The record of all steps.
    pub trace: Trace,
}

impl Generation {
    /// Returns the number of tokens that were committed and not revoked.
    pub fn committed(&self) -> usize {
        self.trace.committed_at().into_iter().flatten().count()
    }

    /// Returns the number of states that the forwards have computed: those that steps were taken with, and those that were
    /// drafted in vain. Without [`draft_length`](SamplerConfig::draft_length) a forward computes one.
    pub fn states(&self) -> usize {
        self.trace.steps.iter().map(|step| step.nfe + step.drafted).sum()
    }

    /// Returns the number of tokens that the constraint left no choice in, which took no forward.
    pub fn forced(&self) -> usize {
        self.trace.steps.iter().map(|step| step.forced.len()).sum()
    }

    /// Returns how probable a valid answer was without the constraint, as a logarithm in nats: the sum, over the blocks, of
    /// the log-probability that independent draws from the predictions of the block's first forward are valid. `None` if
    /// there was no constraint or no forward.
    pub fn log_mass(&self) -> Option<f64> {
        let mut sum = None;
        let mut last_block = None;
        for step in &self.trace.steps {
            if let Some(log_mass) = step.log_mass
                && last_block.replace(step.block) != Some(step.block)
            {
                sum = Some(sum.unwrap_or(0.0) + log_mass);
            }
        }
        sum
    }
}
