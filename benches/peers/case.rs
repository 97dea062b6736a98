//! What is asked of all: a prompt, an answer, and what a step recomputes.

use std::fmt;

use llada_infer::{CacheKind, DecoderConfig, LengthConfig, SamplerConfig, decoder::Llada2, length::Append};

/// Tokens of a block, with a cache.
const BLOCK: usize = 32;
/// Masks that are seen after the block: Streaming-dLLM's number.
const WINDOW: usize = 96;
/// A threshold that no confidence is above.
const NEVER: f32 = 1.0;

/// Work that takes the same number of forwards whoever does it, temperature 0, a schedule without thresholds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) cache: CacheKind,
    pub(crate) prompt: usize,
    pub(crate) gen_length: usize,
    block_length: usize,
    /// Of the whole answer; of a block in LLaDA2, as its sampler counts them.
    pub(crate) steps: usize,
    /// This workspace's own, which the peers do not have.
    pub(crate) suffix_window: Option<usize>,
}

impl Case {
    /// A short answer without a cache; then longer ones, without and with.
    pub(crate) fn of(size: &str) -> Vec<Self> {
        let (plain, cached) = (Self::plain, Self::cached);
        let (prefix, dual) = (CacheKind::Prefix, CacheKind::Dual);
        match size {
            "1b" => vec![plain(64, 64), plain(128, 128), cached(prefix, 128, 128), cached(dual, 128, 128)],
            "moe" => vec![plain(192, 64)],
            "llada2" => vec![Self::blocks(256, 128)],
            _ => vec![
                plain(64, 128),
                plain(512, 512),
                cached(prefix, 512, 512),
                cached(dual, 512, 512),
                cached(prefix, 512, 512).windowed(),
                cached(dual, 512, 512).windowed(),
                plain(512, 1024),
                cached(dual, 512, 1024),
                cached(dual, 512, 1024).windowed(),
            ],
        }
    }

    /// A few steps: without a cache every step is the same work.
    fn plain(prompt: usize, gen_length: usize) -> Self {
        Self { cache: CacheKind::None, prompt, gen_length, block_length: gen_length, steps: 4, suffix_window: None }
    }

    /// A full forward and seven others a block: four tokens a forward.
    fn cached(cache: CacheKind, prompt: usize, gen_length: usize) -> Self {
        let steps = gen_length / BLOCK * 8;
        Self { cache, prompt, gen_length, block_length: BLOCK, steps, suffix_window: None }
    }

    /// LLaDA2's sampler with the exact cache of finished blocks, four tokens a forward.
    fn blocks(prompt: usize, gen_length: usize) -> Self {
        Self { cache: CacheKind::Block, prompt, gen_length, block_length: BLOCK, steps: 8, suffix_window: None }
    }

    fn windowed(self) -> Self {
        Self { suffix_window: Some(WINDOW), ..self }
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
        let config = SamplerConfig {
            gen_length: self.gen_length,
            block_length: Some(self.block_length),
            cache: self.cache.into(),
            suffix_window: self.suffix_window,
            ..Default::default()
        };
        if self.cache != CacheKind::Block {
            return SamplerConfig { steps: Some(self.steps), ..config };
        }
        let decoder = Llada2 { threshold: NEVER, block_steps: self.steps, ..Default::default() };
        let (decoder, length) = (DecoderConfig::Llada2(decoder), LengthConfig::Append(Append::default()));
        SamplerConfig { decoder, length, aligned_blocks: true, ..config }
    }

    /// The options that the peers know; llama.cpp's has no threshold.
    pub(crate) fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = vec![
            ("--prompt-ids", self.prompt_ids().iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
            ("--steps", self.steps.to_string()),
            ("--gen-length", self.gen_length.to_string()),
            ("--block-length", self.block_length.to_string()),
        ];
        if self.cache == CacheKind::Block {
            options.push(("--threshold", NEVER.to_string()));
        }
        options
    }

    /// The name of the sampler in the PyTorch peer.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.cache {
            CacheKind::Prefix => "fast_prefix_cache",
            CacheKind::Dual => "fast_dual_cache",
            CacheKind::Block => "llada2_cached",
            _ => "llada",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, prompt, gen_length, steps, .. } = self;
        let each = if *cache == CacheKind::Block { " a block" } else { "" };
        write!(f, "cache {cache}, prompt {prompt}, answer {gen_length}, {steps} steps{each}")?;
        self.suffix_window.map_or(Ok(()), |window| write!(f, ", suffix window {window}"))
    }
}
