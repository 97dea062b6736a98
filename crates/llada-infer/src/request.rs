//! What is asked of the engine, and what it answers.

use std::sync::Arc;

use llada_core::trace::Trace;

use crate::{Cache, Decoder, SamplerConfig};

/// A prompt, masks in it or not, and how to sample its answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Token ids of the prompt; masks in it are filled too.
    pub prompt: Vec<u32>,
    /// The sampler's options.
    pub config: SamplerConfig,
    /// A decoder that takes the place of the config's.
    pub(crate) decoder: Option<Arc<dyn Decoder>>,
    /// A cache that takes the place of the config's.
    pub(crate) cache: Option<Arc<dyn Cache>>,
}

impl Request {
    /// A request to continue `prompt`, or to fill its masks.
    pub fn new(prompt: impl Into<Vec<u32>>, config: SamplerConfig) -> Self {
        Self { prompt: prompt.into(), config, decoder: None, cache: None }
    }

    /// The same with a decoder of one's own instead of the config's.
    #[must_use]
    pub fn with_decoder(mut self, decoder: impl Decoder + 'static) -> Self {
        self.decoder = Some(Arc::new(decoder));
        self
    }

    /// The same with a cache of one's own instead of the config's.
    #[must_use]
    pub fn with_cache(mut self, cache: impl Cache + 'static) -> Self {
        self.cache = Some(Arc::new(cache));
        self
    }

    /// One request for each of `prompts`, with seeds that count up from `config`'s: requests of one seed would share their
    /// noise.
    pub fn for_each(prompts: &[Vec<u32>], config: &SamplerConfig) -> Vec<Self> {
        let mut requests = Vec::with_capacity(prompts.len());
        for (index, prompt) in (0..).zip(prompts) {
            let config = SamplerConfig { seed: config.seed.wrapping_add(index), ..config.clone() };
            requests.push(Self::new(prompt.as_slice(), config));
        }
        requests
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Generation {
    /// The prompt, its masks filled.
    pub prompt: Vec<u32>,
    /// The answer: as many ids as the policy of its length made it, or up to the end-of-text token that it stopped at.
    pub output: Vec<u32>,
    /// Forward evaluations: calls of the predictor, a guided one with its doubled batch counting once.
    pub nfe: usize,
    /// How the answer came about.
    pub trace: Trace,
}

impl Generation {
    /// The number of tokens that its steps committed and did not take back.
    pub fn committed(&self) -> usize {
        self.trace.committed_at().into_iter().flatten().count()
    }
}
