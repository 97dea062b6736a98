//! Sampling and scoring on a predictor whose probabilities are known, without libtorch.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

/// The methods that a predictor with a table leaves to the table, its field `inner`.
macro_rules! as_the_table {
    () => {
        fn padded_vocab_size(&self) -> usize {
            self.inner.padded_vocab_size()
        }

        fn mask_id(&self) -> u32 {
            self.inner.mask_id()
        }

        fn banned(&self) -> &[u32] {
            self.inner.banned()
        }

        fn max_sequence_length(&self) -> usize {
            self.inner.max_sequence_length()
        }

        fn release(&mut self, slot: llada_core::predictor::CacheSlot) {
            self.inner.release(slot);
        }

        fn kept_bytes(&self, length: usize, recompute: &llada_core::predictor::Recompute) -> usize {
            self.inner.kept_bytes(length, recompute)
        }
    };
}

mod autoregressive;
mod constraint;
mod custom;
mod decoders;
mod drift;
mod engine;
mod faults;
mod invariances;
mod law;
mod learn2pd;
mod lengths;
mod options;
mod oracles;
mod revocable;
mod solvers;
mod speculation;
mod suffix;
mod top_tokens;

use llada_core::{rng::Noise, tabular::TabularPredictor};
use llada_infer::{
    CacheConfig, CacheKind, DecoderConfig, DecoderKind, Engine, Request, SamplerConfig, SpecialTokens,
    cache::{Dllm, Dual, Prefix, Vicinity},
    decoder::{Dream, Llada2Edit, RemdmOptions},
};

/// Tokens of the tabular vocabulary; its last is the end of the text, the one before ends a turn.
const TOKENS: usize = 4;
const MASK: u32 = TOKENS as u32;
const SPECIAL: SpecialTokens = SpecialTokens { eos: 3, eot: Some(2) };

/// A random joint distribution of `length` tokens.
fn predictor(length: usize, seed: u64) -> TabularPredictor {
    let mut noise = Noise::new(seed).stream(0, 0, 0);
    let joint = (0..TOKENS.pow(length as u32)).map(|_| noise.uniform().powi(4)).collect();
    TabularPredictor::new(TOKENS, length, joint).unwrap()
}

fn engine(length: usize, seed: u64) -> Engine<TabularPredictor> {
    Engine::new(predictor(length, seed), SPECIAL)
}

fn request(prompt: &[u32], config: SamplerConfig) -> Request {
    Request::new(prompt, config)
}

/// The part of a complete answer that is handed out: LLaDA2's samplers leave out what follows an end-of-text.
fn handed_out<'a>(decoder: &DecoderConfig, answer: &'a [u32]) -> &'a [u32] {
    let is_cut = matches!(decoder, DecoderConfig::Llada2(_) | DecoderConfig::Llada2Edit(_));
    let end = answer.iter().position(|&id| is_cut && id == SPECIAL.eos);
    &answer[..end.map_or(answer.len(), |end| end + 1)]
}

/// The decoder with options under which chance has much to say.
fn lively(decoder: DecoderKind) -> DecoderConfig {
    let often = RemdmOptions { eta: 0.5 };
    match decoder {
        DecoderKind::Dream => DecoderConfig::Dream(Dream { alg_temp: 0.1, ..Default::default() }),
        DecoderKind::Llada2Edit => DecoderConfig::Llada2Edit(Llada2Edit {
            threshold: 0.5,
            editing_threshold: 0.2,
            max_post_steps: 3,
            num_to_transfer: 1,
        }),
        DecoderKind::Remdm => DecoderConfig::Remdm(often),
        DecoderKind::RemdmRescale => DecoderConfig::RemdmRescale(often),
        DecoderKind::RemdmLoop => DecoderConfig::RemdmLoop(often),
        decoder => decoder.into(),
    }
}

/// The cache with a full forward every so many steps.
fn refreshed(cache: CacheKind, interval: usize) -> CacheConfig {
    let refresh_interval = Some(interval);
    match cache {
        CacheKind::Prefix => CacheConfig::Prefix(Prefix { refresh_interval }),
        CacheKind::Dual => CacheConfig::Dual(Dual { refresh_interval, ..Default::default() }),
        CacheKind::Vicinity => CacheConfig::Vicinity(Vicinity { refresh_interval }),
        CacheKind::Dllm => CacheConfig::Dllm(Dllm { refresh_interval: interval, ..Default::default() }),
        cache => cache.into(),
    }
}
