//! A predictor that gives picks is asked for logits only where picks are not enough.

use std::ops::Range;

use llada_core::{
    CoreError,
    predictor::{MaskPredictor, Pick, Row},
    sampling::{argmax, softmax_at},
    tabular::TabularPredictor,
};
use llada_infer::{CacheKind, DecoderKind, Engine, SamplerConfig};
use proptest::prelude::*;

use crate::{SPECIAL, decoders, engine, predictor, request};

/// A predictor as on another device, which counts what is read of it.
struct Distant {
    inner: TabularPredictor,
    logits: usize,
}

impl MaskPredictor for Distant {
    type Error = CoreError;

    fn logits_width(&self) -> usize {
        self.inner.logits_width()
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

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<(), CoreError> {
        self.inner.forward(batch)
    }

    fn forget(&mut self) {
        self.inner.forget();
    }

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        self.logits += 1;
        self.inner.logits(row, range, out)
    }

    fn picks(&mut self, row: usize, range: Range<usize>, out: &mut Vec<Pick>) -> Result<bool, CoreError> {
        let mut logits = Vec::new();
        self.inner.logits(row, range, &mut logits)?;
        out.clear();
        for logits in logits.chunks_mut(self.inner.logits_width()) {
            let all = logits.to_vec();
            for &id in self.inner.banned() {
                logits[id as usize] = f32::NEG_INFINITY;
            }
            let token = argmax(logits);
            out.push(Pick { token, probability: softmax_at(&all, token) });
        }
        Ok(true)
    }
}

fn distant(seed: u64) -> Engine<Distant> {
    Engine::new(Distant { inner: predictor(decoders::LENGTH, seed), logits: 0 }, SPECIAL)
}

#[test]
fn logits_stay_where_they_are() {
    let reads = |change: fn(&mut SamplerConfig)| {
        let mut config = decoders::config(DecoderKind::Threshold, CacheKind::Dual);
        config.temperature = 0.0;
        change(&mut config);
        let mut engine = distant(0);
        engine.generate(&request(&[1], config)).unwrap();
        engine.predictor().logits
    };
    assert_eq!(reads(|_| ()), 0);
    assert!(reads(|config| config.temperature = 0.5) > 0);
    assert!(reads(|config| config.cfg_scale = 1.0) > 0);
    assert!(reads(|config| config.logits_eos_inf = true) > 0);
    assert!(reads(|config| config.confidence_eos_eot_inf = true) > 0);
    assert!(reads(|config| config.decoder = DecoderKind::EntropyBounded) > 0);
    assert!(reads(|config| config.decoder = DecoderKind::Klass) > 0);
    assert!(reads(|config| config.decoder = DecoderKind::Wino) > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn answers_are_the_same(
        decoder in prop::sample::select(DecoderKind::ALL.to_vec()),
        cache in prop::sample::select(CacheKind::ALL.to_vec()),
        temperature in prop::sample::select(vec![0.0, 0.7]),
        seed in 0..50_u64,
    ) {
        let config = SamplerConfig { temperature, seed, ..decoders::config(decoder, cache) };
        let near = decoders::generate(&mut engine(decoders::LENGTH, seed), &config);
        prop_assert_eq!(distant(seed).generate(&request(&[1], config)).unwrap(), near);
    }
}
