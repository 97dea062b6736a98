//! A decoder and a cache of one's own.

use llada_core::predictor::Recompute;
use llada_infer::{Cache, CacheKind, Decoder, DecoderKind, Prediction, SamplerConfig, StepContext};

use crate::{decoders, engine, request};

/// From left to right, a token a step.
#[derive(Debug)]
struct Leftmost;

impl Decoder for Leftmost {
    fn choose(&self, _at: &StepContext, _predictions: &[Prediction], chosen: &mut Vec<usize>) {
        chosen.push(0);
    }
}

/// Every other step computes everything, those in between the block alone.
#[derive(Debug)]
struct EveryOther;

impl Cache for EveryOther {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        at.step.is_multiple_of(2)
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.clone())
    }
}

#[test]
fn a_decoder_of_ones_own_decides() {
    let config = SamplerConfig { gen_length: 5, ..Default::default() };
    let answer = engine(6, 1).generate(&request(&[1], config.clone()).with_decoder(Leftmost)).unwrap();
    let positions: Vec<usize> =
        answer.trace.steps.iter().flat_map(|step| &step.commits).map(|commit| commit.position).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
    // That is what blocks of one token are, whatever the decoder.
    let blocks = SamplerConfig { block_length: Some(1), ..config };
    assert_eq!(engine(6, 1).generate(&request(&[1], blocks)).unwrap().output, answer.output);
}

/// In one block, two steps apart is what `refresh_interval` 2 says.
#[test]
fn a_cache_of_ones_own_decides() {
    for seed in 0..20 {
        let config =
            SamplerConfig { block_length: None, seed, ..decoders::config(DecoderKind::Schedule, CacheKind::None) };
        let own = request(&[1], config.clone()).with_cache(EveryOther);
        let named = request(&[1], SamplerConfig { cache: crate::refreshed(CacheKind::Dual, 2), ..config });
        let mut engine = engine(decoders::LENGTH, seed);
        assert_eq!(engine.generate(&own).unwrap(), engine.generate(&named).unwrap());
    }
}
