//! Which settings of the sampler are measured.

use std::fmt;

use llada_core::{block::BlockPlan, confidence::Remasking};
use llada_infer::{Algorithm, CacheKind, DecoderKind, Preset, SamplerConfig};
use serde::Serialize;
use serde_json::{Value, json};

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Cell {
    pub(crate) decoder: DecoderKind,
    pub(crate) cache: CacheKind,
    pub(crate) remasking: Remasking,
    pub(crate) gen_length: usize,
    pub(crate) block_length: usize,
    /// Of the schedule; the other decoders take as many as they need.
    pub(crate) steps: Option<usize>,
    pub(crate) extra: Option<Extra>,
}

/// What a setting has beside a decoder and a cache.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Extra {
    SuffixWindow(usize),
    RefreshDrift(f32),
    DraftLength(usize),
    /// Whatever else the preset stands for.
    Preset(Preset),
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
    pub(crate) fn config(self, seed: u64) -> anyhow::Result<SamplerConfig> {
        let Self { decoder, cache, remasking, gen_length, block_length, steps, extra } = self;
        let mut options = json!({
            "decoder": decoder, "cache": cache, "remasking": remasking, "gen_length": gen_length,
            "block_length": block_length, "steps": steps, "seed": seed,
        });
        if let Some(extra) = extra {
            let (key, value) = extra.option();
            options[key] = value;
        }
        Ok(SamplerConfig::from_request(serde_json::from_value(options)?, Algorithm::Vanilla)?)
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
        if self.cache != CacheKind::None {
            write!(f, ", {}", self.cache)?;
        }
        self.extra.map_or(Ok(()), |extra| write!(f, ", {extra}"))
    }
}

impl Extra {
    /// The option of a request.
    fn option(self) -> (&'static str, Value) {
        match self {
            Self::SuffixWindow(masks) => ("suffix_window", masks.into()),
            Self::RefreshDrift(drift) => ("refresh_drift", drift.into()),
            Self::DraftLength(states) => ("draft_length", states.into()),
            Self::Preset(preset) => ("preset", preset.to_string().into()),
        }
    }
}

/// As it is typed.
impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SuffixWindow(masks) => write!(f, "--suffix-window {masks}"),
            Self::RefreshDrift(drift) => write!(f, "--refresh-drift {drift}"),
            Self::DraftLength(states) => write!(f, "--draft-length {states}"),
            Self::Preset(preset) => write!(f, "--preset {preset}"),
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
    /// are blocks; and what goes beside a cache.
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
        cells.extend(self.with_extras());
        cells
    }

    /// Windows, refreshes by drift and drafts beside the caches that have them, and presets.
    fn with_extras(self) -> impl Iterator<Item = Cell> {
        use CacheKind::{Dual, Prefix};
        use DecoderKind::{Schedule, Threshold};
        let window = Extra::SuffixWindow(self.block_length);
        [
            (Schedule, Prefix, window),
            (Schedule, Dual, window),
            (Schedule, Dual, Extra::RefreshDrift(0.1)),
            (Schedule, Dual, Extra::RefreshDrift(2.0)),
            (Schedule, Dual, Extra::DraftLength(2)),
            (Threshold, Prefix, window),
            (Threshold, Dual, window),
            (Threshold, Dual, Extra::RefreshDrift(0.1)),
            (Threshold, Dual, Extra::RefreshDrift(2.0)),
            (Threshold, Dual, Extra::DraftLength(2)),
            // In blocks of this length the preset exact is a setting above.
            (Threshold, Dual, Extra::Preset(Preset::Balanced)),
            (Threshold, Dual, Extra::Preset(Preset::Fast)),
        ]
        .into_iter()
        .map(move |(decoder, cache, extra)| Cell {
            cache,
            extra: Some(extra),
            ..self.cell(decoder, self.block_length)
        })
    }

    fn cell(self, decoder: DecoderKind, block_length: usize) -> Cell {
        let gen_length = self.gen_length;
        let steps = (decoder == DecoderKind::Schedule).then_some(gen_length);
        let (cache, remasking) = (CacheKind::None, Remasking::LowConfidence);
        Cell { decoder, cache, remasking, gen_length, block_length, steps, extra: None }
    }
}
