//! Which settings of the sampler are measured.

use std::fmt;

use llada_core::{block::BlockPlan, order::Remasking};
use llada_infer::{CacheKind, DecoderKind, SamplerConfig};
use llada_tasks::GEN_LENGTH;
use serde::Serialize;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Cell {
    pub(crate) decoder: DecoderKind,
    pub(crate) cache: CacheKind,
    pub(crate) remasking: Remasking,
    pub(crate) block_length: usize,
    /// Of the schedule; the other decoders take as many as they need.
    pub(crate) steps: Option<usize>,
}

const STEPS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// A block as long as the answer is pure diffusion, a shorter one semi-autoregressive.
pub(crate) const BLOCKS: [usize; 2] = [GEN_LENGTH, 8];
/// Of the table of decoders and caches: a cache earns its keep where there are blocks.
pub(crate) const CACHED_BLOCK: usize = 8;
pub(crate) const REMASKINGS: [Remasking; 2] = [Remasking::LowConfidence, Remasking::Random];
pub(crate) const CACHES: [CacheKind; 4] = [CacheKind::None, CacheKind::Prefix, CacheKind::Dual, CacheKind::Dllm];
/// At the thresholds and bounds of their papers, which are the defaults.
pub(crate) const DECODERS: [DecoderKind; 9] = [
    DecoderKind::Schedule,
    DecoderKind::Threshold,
    DecoderKind::Factor,
    DecoderKind::EntropyBounded,
    DecoderKind::Klass,
    DecoderKind::Credit,
    DecoderKind::LocalLeap,
    DecoderKind::Hierarchical,
    DecoderKind::Wino,
];
/// Those that the short form measures with caches too.
const CACHED: [DecoderKind; 4] =
    [DecoderKind::Schedule, DecoderKind::Threshold, DecoderKind::Factor, DecoderKind::EntropyBounded];

impl Cell {
    fn new(decoder: DecoderKind, block_length: usize) -> Self {
        let steps = (decoder == DecoderKind::Schedule).then_some(GEN_LENGTH);
        Self { decoder, cache: CacheKind::None, remasking: Remasking::LowConfidence, block_length, steps }
    }

    /// The sampler's options, on the canvas of the tasks.
    pub(crate) fn config(self, seed: u64) -> SamplerConfig {
        let Self { decoder, cache, remasking, block_length, steps } = self;
        let block_length = Some(block_length);
        SamplerConfig {
            decoder,
            cache,
            remasking,
            block_length,
            steps,
            gen_length: GEN_LENGTH,
            seed,
            ..Default::default()
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decoder)?;
        if let Some(steps) = self.steps {
            write!(f, " {steps}")?;
        }
        if self.remasking != Remasking::LowConfidence {
            write!(f, ", {}", self.remasking)?;
        }
        write!(f, ", block {}", self.block_length)?;
        match self.cache {
            CacheKind::None => Ok(()),
            cache => write!(f, ", {cache}"),
        }
    }
}

/// The setting of `--test`.
pub(crate) fn smallest() -> Vec<Cell> {
    vec![Cell { steps: Some(4), ..Cell::new(DecoderKind::Schedule, GEN_LENGTH) }]
}

/// Steps, remasking and block length of the schedule; the other decoders; caches.
pub(crate) fn all(full: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for block_length in BLOCKS {
        for remasking in REMASKINGS {
            let divides = |steps: &usize| BlockPlan::new(*steps, GEN_LENGTH, block_length).is_ok();
            cells.extend(STEPS.into_iter().filter(divides).map(|steps| Cell {
                remasking,
                steps: Some(steps),
                ..Cell::new(DecoderKind::Schedule, block_length)
            }));
        }
    }
    for block_length in BLOCKS {
        cells.extend(DECODERS[1..].iter().map(|&decoder| Cell::new(decoder, block_length)));
    }
    let (decoders, blocks): (&[_], &[_]) = if full { (&DECODERS, &BLOCKS) } else { (&CACHED, &[CACHED_BLOCK]) };
    for &block_length in blocks {
        for &cache in &CACHES[1..] {
            cells.extend(decoders.iter().map(|&decoder| Cell { cache, ..Cell::new(decoder, block_length) }));
        }
    }
    cells
}
