//! A predictor that gives top tokens is asked for logits only where they are not enough.

use std::{cell::Cell, ops::Range, rc::Rc};

use llada_core::{
    CoreError,
    predictor::{Hidden, MaskPredictor, Row, TopToken},
    sampling::{argmax, softmax_at},
    tabular::{TabularHidden, TabularPredictor},
};
use llada_infer::{CacheKind, DecoderKind, Engine, SamplerConfig};
use proptest::prelude::*;

use crate::{SPECIAL, decoders, engine, predictor, request};

/// A predictor as on another device, which counts how often its logits are read.
struct Distant {
    inner: TabularPredictor,
    logits: Rc<Cell<usize>>,
}

struct DistantHidden {
    inner: TabularHidden,
    padded_vocab_size: usize,
    banned: Vec<u32>,
    logits: Rc<Cell<usize>>,
}

impl MaskPredictor for Distant {
    type Error = CoreError;
    type Hidden<'a> = DistantHidden;

    as_the_table!();

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<DistantHidden, CoreError> {
        Ok(DistantHidden {
            inner: self.inner.forward(batch)?,
            padded_vocab_size: self.inner.padded_vocab_size(),
            banned: self.inner.banned().to_vec(),
            logits: self.logits.clone(),
        })
    }
}

impl Hidden for DistantHidden {
    type Error = CoreError;

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        self.logits.set(self.logits.get() + 1);
        self.inner.logits(row, range, out)
    }

    fn top_tokens(&mut self, row: usize, range: Range<usize>) -> Result<Option<Vec<TopToken>>, CoreError> {
        let mut logits = Vec::new();
        self.inner.logits(row, range, &mut logits)?;
        let mut found = Vec::new();
        for logits in logits.chunks_mut(self.padded_vocab_size) {
            let all = logits.to_vec();
            for &id in &self.banned {
                logits[id as usize] = f32::NEG_INFINITY;
            }
            let token = argmax(logits);
            found.push(TopToken { token, probability: softmax_at(&all, token) });
        }
        Ok(Some(found))
    }
}

fn distant(seed: u64) -> Engine<Distant> {
    Engine::new(Distant { inner: predictor(decoders::LENGTH, seed), logits: Rc::default() }, SPECIAL)
}

#[test]
fn logits_stay_where_they_are() {
    let reads = |change: fn(&mut SamplerConfig)| {
        let mut config = decoders::config(DecoderKind::Threshold, CacheKind::Dual);
        config.temperature = 0.0;
        change(&mut config);
        let mut engine = distant(0);
        engine.generate(&request(&[1], config)).unwrap();
        engine.predictor().logits.get()
    };
    assert_eq!(reads(|_| ()), 0);
    assert!(reads(|config| config.temperature = 0.5) > 0);
    assert!(reads(|config| config.cfg_scale = 1.0) > 0);
    assert!(reads(|config| config.logits_eos_inf = true) > 0);
    assert!(reads(|config| config.confidence_eos_eot_inf = true) > 0);
    assert!(reads(|config| config.decoder = DecoderKind::EntropyBounded.into()) > 0);
    assert!(reads(|config| config.decoder = DecoderKind::Klass.into()) > 0);
    assert!(reads(|config| config.decoder = DecoderKind::Wino.into()) > 0);
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
