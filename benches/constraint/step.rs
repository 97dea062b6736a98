//! The time of a step with its forward and without.

use std::{
    convert::Infallible,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use llada::{Device, Dtype, Engine, Request, SamplerConfig, SpecialTokens, TokenDfa, Transformer};
use llada_core::{
    predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row},
    rng::Noise,
};
use llada_model::{ModelConfig, TrainableTransformer};
use serde_json::json;
use tempfile::TempDir;

/// The masks of a step.
const BLOCK: usize = 32;
const PROMPT: usize = 512;
const ANSWER: usize = 512;
/// Ids after the vocabulary's: end-of-text and the mask.
const SPECIAL: usize = 2;

/// Returns the median time of a full forward over prompt and answer, and of the logits of a block.
pub(crate) fn full_forward(tokens: usize, is_small: bool, repeats: usize) -> anyhow::Result<Duration> {
    let folder = TempDir::new()?;
    let (d_model, n_layers) = if is_small { (64, 1) } else { (768, 12) };
    let keys = json!({
        "d_model": d_model, "n_layers": n_layers, "n_heads": d_model / 64, "mlp_hidden_size": d_model * 8 / 3,
        "max_sequence_length": PROMPT + ANSWER, "vocab_size": tokens + SPECIAL, "mask_token_id": tokens + 1,
        "eos_token_id": tokens, "weight_tying": true,
    });
    let config = ModelConfig::from_keys(keys.as_object().cloned().unwrap_or_default())?;
    TrainableTransformer::new(config, 0, Device::Cpu, Dtype::F32)?.save(folder.path(), Dtype::F32)?;
    let mut model = Transformer::load(folder.path(), Device::Cpu, Dtype::Bf16)?;
    let ids: Vec<u32> = (0..PROMPT as u32).chain([model.mask_id(); ANSWER]).collect();
    let wanted: Vec<usize> = (PROMPT..PROMPT + BLOCK).collect();
    let mut logits = Vec::new();
    let mut times = Vec::new();
    for _ in 0..=repeats {
        let start = Instant::now();
        model.forward(&[Row::new(&ids, &wanted)])?.logits(0, 0..BLOCK, &mut logits)?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

/// A sampler over a model that costs nothing.
pub(crate) struct Bench {
    engine: Engine<Recorded>,
    repeats: usize,
}

impl Bench {
    pub(crate) fn new(tokens: usize, repeats: usize) -> Self {
        let special = SpecialTokens { eos: tokens as u32, eot: None };
        Self { engine: Engine::new(Recorded::new(tokens), special), repeats }
    }

    /// Returns the median time of the first step of an answer.
    pub(crate) fn step(&mut self, dfa: Option<&Arc<TokenDfa>>, temperature: f64) -> anyhow::Result<Duration> {
        let config = SamplerConfig {
            gen_length: ANSWER,
            block_length: Some(BLOCK),
            steps: Some(ANSWER),
            temperature,
            ..Default::default()
        };
        let mut request = Request::new(vec![0; PROMPT], config);
        if let Some(dfa) = dfa {
            request = request.with_constraint(Arc::clone(dfa));
        }
        let mut times = Vec::new();
        for _ in 0..=self.repeats {
            let job = self.engine.submit(request.clone())?;
            // What is forced from the start is a step without a forward.
            while self.engine.cost(job).is_some_and(|cost| cost.tokens == 0) {
                self.engine.step(usize::MAX, |_, _| ());
            }
            let start = Instant::now();
            self.engine.step(usize::MAX, |_, _| ());
            times.push(start.elapsed());
            self.engine.cancel(job);
        }
        Ok(median(times))
    }

    /// Returns the median of what a constraint adds to the same step, in seconds.
    pub(crate) fn added(&mut self, dfa: &Arc<TokenDfa>, temperature: f64) -> anyhow::Result<f64> {
        let constrained = self.step(Some(dfa), temperature)?;
        Ok(constrained.as_secs_f64() - self.step(None, temperature)?.as_secs_f64())
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    // The first one fills caches.
    let times = &mut times[1..];
    times.sort_unstable();
    times[times.len() / 2]
}

/// A model that always has the same logits.
struct Recorded {
    logits: Vec<f32>,
    banned: [u32; 1],
}

/// The logits of any wanted positions.
struct RecordedHidden<'a>(&'a [f32]);

impl Recorded {
    fn new(tokens: usize) -> Self {
        let mut stream = Noise::new(1).stream(0, 0, 0);
        let logits = (0..BLOCK * (tokens + SPECIAL)).map(|_| (-2.0 * (-stream.uniform().ln()).ln()) as f32).collect();
        Self { logits, banned: [tokens as u32 + 1] }
    }
}

impl MaskPredictor for Recorded {
    type Error = Infallible;
    type Hidden<'a> = RecordedHidden<'a>;

    fn padded_vocab_size(&self) -> usize {
        self.logits.len() / BLOCK
    }

    fn mask_id(&self) -> u32 {
        self.banned[0]
    }

    fn banned(&self) -> &[u32] {
        &self.banned
    }

    fn max_sequence_length(&self) -> usize {
        PROMPT + ANSWER
    }

    fn forward(&mut self, _batch: &[Row<'_>]) -> Result<RecordedHidden<'_>, Infallible> {
        Ok(RecordedHidden(&self.logits))
    }

    fn release(&mut self, _slot: CacheSlot) {}

    fn kept_bytes(&self, _length: usize, _recompute: &Recompute) -> usize {
        0
    }
}

impl Hidden for RecordedHidden<'_> {
    type Error = Infallible;

    fn logits(&mut self, _row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Infallible> {
        let width = self.0.len() / BLOCK;
        out.clear();
        out.extend_from_slice(&self.0[range.start * width..range.end * width]);
        Ok(())
    }
}
