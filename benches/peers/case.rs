//! What is asked of all: a prompt, an answer, and what a step recomputes.

use llada_infer::{CacheKind, SamplerConfig};

/// Tokens of a block.
pub(crate) const BLOCK: usize = 32;

/// Work that takes the same number of forwards whoever does it, temperature 0, a schedule without thresholds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) cache: CacheKind,
    pub(crate) prompt: usize,
    pub(crate) gen_length: usize,
    pub(crate) steps: usize,
}

impl Case {
    /// Few steps without a cache, where every step is the same work; with one, a full forward and seven others a block.
    pub(crate) fn of(size: &str) -> Vec<Self> {
        let large = size == "1b";
        let (gen_length, steps) = if large { (64, 4) } else { (128, 8) };
        let plain = Self { name: "no cache", cache: CacheKind::None, prompt: 64, gen_length, steps };
        let (prompt, gen_length) = if large { (128, 128) } else { (512, 512) };
        let cached = |name, cache, steps| Self { name, cache, prompt, gen_length, steps };
        let steps = gen_length / BLOCK * 8;
        vec![plain, cached("prefix cache", CacheKind::Prefix, steps), cached("dual cache", CacheKind::Dual, steps)]
    }

    /// The prompt's ids: any will do, for the weights are random.
    pub(crate) fn prompt_ids(&self) -> Vec<u32> {
        (0..self.prompt as u32).map(|i| 7 * i % 256).collect()
    }

    pub(crate) fn config(&self) -> SamplerConfig {
        SamplerConfig {
            steps: Some(self.steps),
            gen_length: self.gen_length,
            block_length: Some(BLOCK),
            cache: self.cache,
            ..Default::default()
        }
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
