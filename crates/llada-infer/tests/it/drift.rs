//! The limit of drift: which forwards it measures, which it makes full, and what it goes with.

use std::sync::Arc;

use llada_core::{
    CoreError,
    automaton::TokenDfa,
    confidence::Remasking,
    predictor::{Hidden, MaskPredictor, Recompute, Row},
    tabular::{TabularHidden, TabularPredictor},
};
use llada_infer::{
    CacheConfig, CacheKind, DecoderKind, Engine, LengthConfig, SamplerConfig,
    cache::Dual,
    length::{Append, Daedal},
};
use proptest::prelude::*;

use crate::{SPECIAL, TOKENS, decoders, engine, predictor, request};

/// The length of the tables: a prompt of one token and an answer of six in three blocks.
const LENGTH: usize = 7;

/// A predictor that finds the same drift in each row that asks for it, and writes down what its rows compute.
struct Drifting {
    inner: TabularPredictor,
    drift: Option<f32>,
    /// What each row recomputes, and whether it measures.
    rows: Vec<(Recompute, bool)>,
}

struct DriftingHidden {
    inner: TabularHidden,
    drifts: Vec<Option<f32>>,
}

impl MaskPredictor for Drifting {
    type Error = CoreError;
    type Hidden<'a> = DriftingHidden;

    as_the_table!();

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<DriftingHidden, CoreError> {
        self.rows.extend(batch.iter().map(|row| (row.recompute.clone(), row.measures_drift)));
        let drifts = batch.iter().map(|row| self.drift.filter(|_| row.measures_drift)).collect();
        Ok(DriftingHidden { inner: self.inner.forward(batch)?, drifts })
    }
}

impl Hidden for DriftingHidden {
    type Error = CoreError;

    fn logits(&mut self, row: usize, range: std::ops::Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        self.inner.logits(row, range, out)
    }

    fn drift(&mut self, row: usize) -> Result<Option<f32>, CoreError> {
        Ok(self.drifts[row])
    }
}

fn config(refresh_drift: f32) -> SamplerConfig {
    let cache = CacheConfig::Dual(Dual { refresh_drift: Some(refresh_drift), ..Default::default() });
    SamplerConfig { cache, block_length: Some(2), ..decoders::config(DecoderKind::Schedule, CacheKind::None) }
}

/// What the rows of a generation recompute, and whether they measure, if each finds `drift`.
fn rows(config: SamplerConfig, drift: Option<f32>) -> Vec<(Recompute, bool)> {
    let mut engine = Engine::new(Drifting { inner: predictor(LENGTH, 3), drift, rows: Vec::new() }, SPECIAL);
    engine.generate(&request(&[1], config)).unwrap();
    engine.predictor().rows.clone()
}

#[test]
fn a_block_is_refreshed_where_its_values_have_moved_too_far() {
    let (all, span) = ((Recompute::All, false), |range| (Recompute::Span(range), false));
    let measured = |range| (Recompute::Span(range), true);
    // The first step of a block sees the final tokens of the block before.
    let kept = [all.clone(), span(1..3), measured(1..5), span(3..5), measured(3..7), span(5..7)];
    assert_eq!(rows(config(0.1), Some(0.1)), kept);
    let refreshed = [all.clone(), span(1..3), measured(1..5), all.clone(), measured(3..7), all];
    for drift in [Some(0.11), Some(f32::NAN), None] {
        assert_eq!(rows(config(0.1), drift), refreshed, "{drift:?}");
    }
}

#[test]
fn one_row_of_guidance_measures() {
    let guided = rows(SamplerConfig { cfg_scale: 1.0, ..config(0.1) }, Some(0.0));
    let measured: Vec<bool> = guided.iter().map(|(_, measures)| *measures).collect();
    assert_eq!(guided.len(), 12);
    assert!((0..12).all(|row| measured[row] == [4, 8].contains(&row)), "{measured:?}");
}

#[test]
fn what_always_refreshes_is_refused() {
    let always = Dual { refresh_interval: Some(1), refresh_drift: Some(0.1) };
    for (config, message) in [
        (SamplerConfig { suffix_window: Some(1), ..config(0.1) }, "refresh_drift 0.1 does not go with suffix_window 1"),
        (SamplerConfig { length: LengthConfig::Append(Append::default()), ..config(0.1) }, "with length append"),
        (
            SamplerConfig {
                length: LengthConfig::Daedal(Daedal::default()),
                decoder: DecoderKind::Threshold.into(),
                ..config(0.1)
            },
            "with length daedal",
        ),
        (SamplerConfig { block_length: None, ..config(0.1) }, "with a single block"),
        (SamplerConfig { cache: CacheConfig::Dual(always), ..config(0.1) }, "with refresh_interval 1"),
        (config(-0.1), "refresh_drift"),
        (config(f32::NAN), "refresh_drift"),
    ] {
        let error = engine(LENGTH, 0).generate(&request(&[1], config)).unwrap_err();
        assert!(error.to_string().contains(message), "{error} lacks {message:?}");
    }
}

/// A block whose tokens are all known has no step that would see the final tokens of the block before it.
#[test]
fn what_was_committed_before_a_known_block_is_computed_anew() {
    // The second of three blocks is 1 and 0, whatever the others are.
    let free = [0, 1, 4, 5].into_iter().flat_map(|state| [(state, 0, state + 1), (state, 1, state + 1)]);
    let transitions: Vec<_> = free.chain([(2, 1, 3), (3, 0, 4)]).collect();
    let is_accepting: Vec<bool> = (0..7).map(|state| state == 6).collect();
    let dfa = Arc::new(TokenDfa::from_transitions(TOKENS, &transitions, &is_accepting).unwrap());
    let mut engine = Engine::new(Drifting { inner: predictor(LENGTH, 3), drift: Some(0.0), rows: Vec::new() }, SPECIAL);
    let answer = engine.generate(&request(&[1], config(0.1)).with_constraint(dfa)).unwrap();
    assert_eq!(answer.output[2..4], [1, 0]);
    let span = |range| (Recompute::Span(range), false);
    let expected = [(Recompute::All, false), span(1..3), (Recompute::Span(1..7), true), span(5..7)];
    assert_eq!(engine.predictor().rows, expected);
}

proptest! {
    /// Drafts decide what is computed, and never what is committed.
    #[test]
    fn drafts_change_nothing(drift in 0.0_f32..0.2, draft_length in 1_usize..4, seed in 0_u64..20) {
        let answer = |draft_length| {
            let config = SamplerConfig {
                block_length: Some(3),
                remasking: Remasking::Random,
                draft_length,
                seed,
                ..config(0.1)
            };
            let inner = Drifting { inner: predictor(LENGTH, seed), drift: Some(drift), rows: Vec::new() };
            Engine::new(inner, SPECIAL).generate(&request(&[1], config)).unwrap()
        };
        let (drafted, plain) = (answer(Some(draft_length)), answer(None));
        prop_assert!(drafted.trace.steps.iter().any(|step| step.drafted > 0));
        for (drafted, plain) in drafted.trace.steps.iter().zip(&plain.trace.steps) {
            prop_assert_eq!(&drafted.commits, &plain.commits);
        }
        prop_assert_eq!(drafted.output, plain.output);
    }
}
