//! What is asked of all: a prompt, an answer, and what a step recomputes.

use std::fmt;

use llada_infer::{CacheKind, SamplerConfig};

/// Tokens of a block, with a cache.
const BLOCK: usize = 32;

/// Work that takes the same number of forwards whoever does it, temperature 0, a schedule without thresholds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) cache: CacheKind,
    pub(crate) prompt: usize,
    pub(crate) gen_length: usize,
    block_length: usize,
    pub(crate) steps: usize,
}

impl Case {
    /// A short answer without a cache; then longer ones, without and with.
    pub(crate) fn of(size: &str) -> Vec<Self> {
        let (plain, cached) = (Self::plain, Self::cached);
        if size == "1b" {
            let (prefix, dual) = (CacheKind::Prefix, CacheKind::Dual);
            return vec![plain(64, 64), plain(128, 128), cached(prefix, 128, 128), cached(dual, 128, 128)];
        }
        vec![
            plain(64, 128),
            plain(512, 512),
            cached(CacheKind::Prefix, 512, 512),
            cached(CacheKind::Dual, 512, 512),
            plain(512, 1024),
            cached(CacheKind::Dual, 512, 1024),
        ]
    }

    /// A few steps: without a cache every step is the same work.
    fn plain(prompt: usize, gen_length: usize) -> Self {
        Self { cache: CacheKind::None, prompt, gen_length, block_length: gen_length, steps: 4 }
    }

    /// A full forward and seven others a block: four tokens a forward.
    fn cached(cache: CacheKind, prompt: usize, gen_length: usize) -> Self {
        Self { cache, prompt, gen_length, block_length: BLOCK, steps: gen_length / BLOCK * 8 }
    }

    /// Whether both ask for as long an answer to as long a prompt.
    pub(crate) fn is_as_long_as(&self, other: &Self) -> bool {
        (self.prompt, self.gen_length) == (other.prompt, other.gen_length)
    }

    /// The prompt's ids: any will do, for the weights are random.
    pub(crate) fn prompt_ids(&self) -> Vec<u32> {
        (0..self.prompt as u32).map(|i| 7 * i % 256).collect()
    }

    pub(crate) fn config(&self) -> SamplerConfig {
        SamplerConfig {
            steps: Some(self.steps),
            gen_length: self.gen_length,
            block_length: Some(self.block_length),
            cache: self.cache.into(),
            ..Default::default()
        }
    }

    /// The options that both peers know.
    pub(crate) fn options(&self) -> [(&'static str, String); 4] {
        [
            ("--prompt-ids", self.prompt_ids().iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
            ("--steps", self.steps.to_string()),
            ("--gen-length", self.gen_length.to_string()),
            ("--block-length", self.block_length.to_string()),
        ]
    }

    /// The name of the sampler in the PyTorch peer.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.cache {
            CacheKind::Prefix => "fast_prefix_cache",
            CacheKind::Dual => "fast_dual_cache",
            _ => "llada",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, prompt, gen_length, steps, .. } = self;
        write!(f, "cache {cache}, prompt {prompt}, answer {gen_length}, {steps} steps")
    }
}
