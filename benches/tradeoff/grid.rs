//! Which settings of the sampler are measured.

use std::fmt;

use llada_core::{block::BlockPlan, confidence::Remasking};
use llada_infer::{CacheKind, DecoderKind, SamplerConfig};
use serde::Serialize;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Cell {
    pub(crate) decoder: DecoderKind,
    pub(crate) cache: CacheKind,
    pub(crate) remasking: Remasking,
    pub(crate) gen_length: usize,
    pub(crate) block_length: usize,
    /// Of the schedule; the other decoders take as many as they need.
    pub(crate) steps: Option<usize>,
}

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

/// What answers are written on. In one block they are pure diffusion, in shorter ones semi-autoregressive.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Canvas {
    pub(crate) gen_length: usize,
    pub(crate) block_length: usize,
}

impl Cell {
    /// Whether the whole answer is one block.
    pub(crate) fn is_whole(self) -> bool {
        self.block_length == self.gen_length
    }

    /// The sampler's options.
    pub(crate) fn config(self, seed: u64) -> SamplerConfig {
        let Self { decoder, cache, remasking, gen_length, block_length, steps } = self;
        let (decoder, cache, block_length) = (decoder.into(), cache.into(), Some(block_length));
        SamplerConfig { decoder, cache, remasking, gen_length, block_length, steps, seed, ..Default::default() }
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

impl Canvas {
    /// The whole answer, and what it is cut into.
    pub(crate) fn blocks(self) -> [usize; 2] {
        [self.gen_length, self.block_length]
    }

    /// The setting of `--test`.
    pub(crate) fn smallest(self) -> Cell {
        Cell { steps: Some(4), ..self.cell(DecoderKind::Schedule, self.gen_length) }
    }

    /// Steps, remasking and block length of the schedule; the other decoders; caches, which earn their keep where there
    /// are blocks.
    pub(crate) fn all(self, full: bool) -> Vec<Cell> {
        let powers =
            || std::iter::successors(Some(1), |steps| Some(2 * steps)).take_while(|&steps| steps <= self.gen_length);
        let mut cells = Vec::new();
        for block_length in self.blocks() {
            for remasking in REMASKINGS {
                let divides = |&steps: &usize| BlockPlan::even(steps, self.gen_length, block_length).is_ok();
                cells.extend(powers().filter(divides).map(|steps| Cell {
                    remasking,
                    steps: Some(steps),
                    ..self.cell(DecoderKind::Schedule, block_length)
                }));
            }
        }
        for block_length in self.blocks() {
            cells.extend(DECODERS[1..].iter().map(|&decoder| self.cell(decoder, block_length)));
        }
        let (decoders, blocks): (&[_], &[_]) =
            if full { (&DECODERS, &self.blocks()) } else { (&CACHED, &[self.block_length]) };
        for &block_length in blocks {
            for &cache in &CACHES[1..] {
                cells.extend(decoders.iter().map(|&decoder| Cell { cache, ..self.cell(decoder, block_length) }));
            }
        }
        cells
    }

    fn cell(self, decoder: DecoderKind, block_length: usize) -> Cell {
        let gen_length = self.gen_length;
        let steps = (decoder == DecoderKind::Schedule).then_some(gen_length);
        let (cache, remasking) = (CacheKind::None, Remasking::LowConfidence);
        Cell { decoder, cache, remasking, gen_length, block_length, steps }
    }
}
