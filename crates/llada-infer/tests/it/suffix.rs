//! The suffix window: which masks a forward sees, what that changes, and what it goes with.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use llada_core::{
    CoreError,
    predictor::{CacheSlot, MaskPredictor, Row},
    tabular::{TabularHidden, TabularPredictor},
};
use llada_infer::{
    CacheKind, DecoderKind, Engine, Event, Job, LengthConfig, SamplerConfig,
    length::{Append, Daedal},
};

use crate::{MASK, SPECIAL, decoders, engine, predictor, request};

/// The length of the tables: a prompt of one token and an answer of six in blocks of two.
const LENGTH: usize = 7;

fn config(decoder: DecoderKind, cache: CacheKind) -> SamplerConfig {
    SamplerConfig { block_length: Some(2), ..decoders::config(decoder, cache) }
}

/// The caches that a window goes with.
fn caches() -> impl Iterator<Item = CacheKind> {
    CacheKind::ALL.iter().copied().filter(|&cache| cache != CacheKind::Block)
}

/// A predictor that writes down where the ids of its rows lie, and insists on a full forward where they have moved.
struct Spy {
    inner: TabularPredictor,
    is_causal: bool,
    rows: Vec<Vec<usize>>,
    /// The positions of the row that each slot holds.
    kept: BTreeMap<CacheSlot, Vec<usize>>,
}

impl MaskPredictor for Spy {
    type Error = CoreError;
    type Hidden<'a> = TabularHidden;

    as_the_table!();

    fn takes_parts(&self) -> bool {
        !self.is_causal
    }

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<TabularHidden, CoreError> {
        for row in batch {
            assert!(row.positions.is_none_or(|positions| positions.len() == row.ids.len()));
            let positions: Vec<usize> = (0..row.ids.len()).map(|index| row.position(index)).collect();
            if let Some(slot) = row.cache {
                let kept = self.kept.insert(slot, positions.clone());
                assert!(row.recompute.is_whole(row.ids.len()) || kept.as_ref() == Some(&positions));
            }
            self.rows.push(positions);
        }
        self.inner.forward(batch)
    }
}

/// The positions of the rows of a generation, without repetitions.
fn rows(config: &SamplerConfig) -> Vec<Vec<usize>> {
    let mut engine = Engine::new(
        Spy { inner: predictor(LENGTH, 3), is_causal: false, rows: Vec::new(), kept: BTreeMap::new() },
        SPECIAL,
    );
    engine.generate(&request(&[1], config.clone())).unwrap();
    let mut rows = engine.predictor().rows.clone();
    rows.dedup();
    rows
}

#[test]
fn a_forward_sees_the_block_the_window_and_the_end() {
    for (cache, cfg_scale) in caches().flat_map(|cache| [(cache, 0.0), (cache, 1.0)]) {
        let seen = |suffix_window, suffix_trailing| {
            let base = SamplerConfig { cfg_scale, ..config(DecoderKind::Schedule, cache) };
            rows(&SamplerConfig { suffix_window, suffix_trailing, ..base })
        };
        let all: Vec<usize> = (0..LENGTH).collect();
        assert_eq!(seen(Some(1), 1), [vec![0, 1, 2, 3, 6], all.clone()], "{cache}");
        assert_eq!(seen(Some(0), 1), [vec![0, 1, 2, 6], vec![0, 1, 2, 3, 4, 6], all.clone()], "{cache}");
        assert_eq!(seen(Some(1), 0), [(0..4).collect(), (0..6).collect(), all.clone()], "{cache}");
        assert_eq!(seen(Some(4), 0), std::slice::from_ref(&all), "{cache}");
        assert_eq!(seen(None, 1), [all], "{cache}");
    }
}

#[test]
fn dropped_masks_are_those_of_the_seed_and_the_block() {
    let seen = |seed| {
        let base = config(DecoderKind::Schedule, CacheKind::Prefix);
        rows(&SamplerConfig { suffix_window: Some(4), suffix_dropout: 2.0, seed, ..base })
    };
    assert!((0..20).all(|seed| seen(seed) == seen(seed)));
    let first: BTreeSet<Vec<usize>> = (0..20).map(|seed| seen(seed).swap_remove(0)).collect();
    // Next to the block the mask is always there, and so is the last one.
    assert!(first.len() > 2 && first.iter().all(|row| row.contains(&3) && row.contains(&6)), "{first:?}");
}

/// The step that the masks cost is saved, too.
#[test]
fn what_is_not_seen_is_not_computed() {
    let tokens = |cache, suffix_window| {
        let config = SamplerConfig { suffix_window, ..config(DecoderKind::Schedule, cache) };
        let mut engine = engine(LENGTH, 0);
        let id = engine.submit(request(&[1], config)).unwrap();
        let mut tokens = Vec::new();
        while let Some(cost) = engine.cost(id) {
            tokens.push(cost.tokens);
            engine.advance(&[id], |_, _| ());
        }
        tokens
    };
    assert_eq!(tokens(CacheKind::Prefix, None), [7, 6, 7, 4, 7, 2]);
    assert_eq!(tokens(CacheKind::Prefix, Some(0)), [4, 3, 6, 3, 7, 2]);
    assert_eq!(tokens(CacheKind::None, Some(0)), [4, 4, 6, 6, 7, 7]);
    assert_eq!(tokens(CacheKind::Dual, Some(0)), [4, 2, 6, 2, 7, 2]);
}

/// A window as long as the suffix is none, whatever the decoder and the cache. To a table a mask that it sees is as one that
/// it does not, so there any other window is none too.
#[test]
fn on_a_table_hidden_masks_change_nothing() {
    for &decoder in DecoderKind::ALL {
        for (cache, cfg_scale) in caches().flat_map(|cache| [(cache, 0.0), (cache, 1.0)]) {
            let base = SamplerConfig { cfg_scale, seed: 2, ..config(decoder, cache) };
            let mut engine = engine(LENGTH, 2);
            let plain = decoders::generate(&mut engine, &base);
            for (window, suffix_dropout) in [(4, 0.0), (usize::MAX, 0.0), (1, 0.0), (0, 0.0), (3, 2.0)] {
                // A window that moves refreshes this cache, which does not follow the blocks otherwise.
                if cache == CacheKind::Dllm && window < 4 {
                    continue;
                }
                let windowed = SamplerConfig { suffix_window: Some(window), suffix_dropout, ..base.clone() };
                assert_eq!(decoders::generate(&mut engine, &windowed), plain, "{decoder:?} {cache} {window}");
            }
        }
    }
}

/// What follows the block in which the answer ends is not decoded.
#[test]
fn the_rest_of_an_ended_answer_is_not_decoded() {
    for &decoder in DecoderKind::ALL {
        for (cache, suffix_window) in caches().flat_map(|cache| [(cache, None), (cache, Some(0)), (cache, Some(1))]) {
            for seed in 0..2 {
                let whole = SamplerConfig { seed, suffix_window, ..config(decoder, cache) };
                let stopping = SamplerConfig { stop_at_eos: true, ..whole.clone() };
                let mut engine = engine(LENGTH, seed);
                let whole = decoders::generate(&mut engine, &whole);
                let stopped = decoders::generate(&mut engine, &stopping);
                let canvas = whole.trace.canvas_at(usize::MAX);
                let case = format!("{decoder:?} {cache} {suffix_window:?} {seed}");
                let Some(end) = canvas[1..].iter().position(|&id| id == SPECIAL.eos) else {
                    assert_eq!(stopped, whole, "{case}");
                    continue;
                };
                assert_eq!(stopped.output, canvas[1..=end + 1], "{case}");
                assert!(stopped.trace.steps.iter().all(|step| step.block <= end / 2), "{case}");
                assert_eq!(whole.trace.steps[..stopped.nfe], stopped.trace.steps, "{case}");
            }
        }
    }
}

/// A request that is hurried has longer blocks, and so another window in the middle of one.
#[test]
fn a_hurried_block_moves_the_window() {
    for (cache, suffix_window) in caches().flat_map(|cache| [(cache, 0), (cache, 1)]) {
        let config = SamplerConfig { suffix_window: Some(suffix_window), ..config(DecoderKind::Threshold, cache) };
        let mut engine = engine(LENGTH, 5);
        let id = engine.submit(Job::from(request(&[1], config))).unwrap();
        let mut answer = None;
        let mut observe = |_, event: Event<'_>| match event {
            Event::Finished(generation) => answer = Some(generation),
            Event::Failed(error) => panic!("{cache}: {error}"),
            _ => (),
        };
        engine.advance(&[id], &mut observe);
        assert!(engine.hurry(id, NonZeroUsize::MIN));
        engine.advance(&[id], &mut observe);
        let answer = answer.unwrap();
        assert_eq!((answer.nfe, answer.output.contains(&MASK)), (2, false), "{cache}");
    }
}

#[test]
fn windows_are_refused_where_they_mean_nothing() {
    let base = || SamplerConfig { gen_length: 4, suffix_window: Some(3), ..Default::default() };
    let daedal = LengthConfig::Daedal(Daedal { initial_gen_length: 2 });
    let threshold = DecoderKind::Threshold.into();
    for (config, message, hint) in [
        (
            SamplerConfig { cache: CacheKind::Block.into(), ..base() },
            "suffix_window 3 does not go with cache block, under which nothing sees the suffix",
            "leave suffix_window out",
        ),
        (
            SamplerConfig { length: daedal, decoder: threshold, ..base() },
            "length daedal does not go with suffix_window 3",
            "length fixed or length append",
        ),
        (SamplerConfig { suffix_dropout: -1.0, ..base() }, "suffix_dropout -1", ""),
        (SamplerConfig { suffix_dropout: f32::NAN, ..base() }, "suffix_dropout NaN", ""),
        (
            SamplerConfig { suffix_window: None, suffix_dropout: 3.0, ..base() },
            "suffix_dropout acts on a suffix_window, and none is set",
            "suffix_window 96",
        ),
        (
            SamplerConfig { suffix_window: None, suffix_trailing: 0, ..base() },
            "suffix_trailing acts on a suffix_window",
            "suffix_window 96",
        ),
    ] {
        let error = engine(LENGTH, 0).generate(&request(&[1], config)).unwrap_err();
        assert!(error.to_string().contains(message), "{error} lacks {message:?}");
        assert_eq!(error.hint().map_or_else(String::new, |hint| hint.to_string()), hint);
    }
    // An answer that grows by blocks has nothing after its last one to hide.
    let append = LengthConfig::Append(Append { ignore_eos: true });
    let append = SamplerConfig { length: append, block_length: Some(2), ..base() };
    assert_eq!(rows(&append), [(0..3).collect::<Vec<_>>(), (0..5).collect()]);
    let spy = |is_causal| Spy { inner: predictor(LENGTH, 3), is_causal, rows: Vec::new(), kept: BTreeMap::new() };
    let windowed = request(&[], SamplerConfig { suffix_window: Some(3), gen_length: 4, ..Default::default() });
    assert!(Engine::new(spy(false), SPECIAL).validate(&windowed).is_ok());
    let error = Engine::new(spy(true), SPECIAL).validate(&windowed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "suffix_window 3 does not go with this model's attention, under which nothing sees the suffix"
    );
}
