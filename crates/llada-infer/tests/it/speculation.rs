//! Self-speculative decoding: the same steps as without, in fewer forwards.

use std::{
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    sync::{Arc, Mutex},
};

use llada_core::{confidence::Remasking, predictor::Recompute, tabular::TabularPredictor, trace::TraceStep};
use llada_infer::{
    Cache, CacheConfig, CacheKind, DecoderConfig, DecoderKind, Engine, Event, Generation, LengthConfig, Request,
    SamplerConfig, StepContext,
    length::{Append, Daedal},
};
use proptest::prelude::*;

use crate::{MASK, SPECIAL, TOKENS, engine, lively, refreshed, request};

const LENGTH: usize = 7;

/// The answer with all that tells which forward a step was taken with left out.
fn without_forwards(answer: &Generation) -> (&[u32], &[u32], Vec<TraceStep>) {
    let steps = answer.trace.steps.iter().map(|step| TraceStep { nfe: 0, drafted: 0, ..step.clone() });
    (&answer.prompt, &answer.output, steps.collect())
}

fn speculative(request: &Request, draft_length: usize) -> Request {
    let mut request = request.clone();
    request.config.draft_length = Some(draft_length);
    request
}

/// Every decoder that takes nothing back.
fn decoders() -> Vec<DecoderConfig> {
    let takes_back = |decoder: &DecoderKind| {
        use DecoderKind::{Llada2Edit, Remdm, RemdmConf, RemdmLoop, RemdmRescale, Wino};
        matches!(decoder, Llada2Edit | Remdm | RemdmConf | RemdmLoop | RemdmRescale | Wino)
    };
    DecoderKind::ALL.iter().filter(|decoder| !takes_back(decoder)).map(|&decoder| lively(decoder)).collect()
}

fn caches() -> Vec<CacheConfig> {
    let mut caches: Vec<CacheConfig> = CacheKind::ALL.iter().map(|&cache| cache.into()).collect();
    caches.retain(|cache| !matches!(cache, CacheConfig::Dllm(_)));
    caches.extend([CacheKind::Prefix, CacheKind::Dual, CacheKind::Vicinity].map(|cache| refreshed(cache, 2)));
    caches.push(refreshed(CacheKind::Dual, 1));
    caches
}

fn any_request() -> impl Strategy<Value = Request> {
    let prompt = prop::collection::vec(0..=MASK, 0..=2);
    let lengths = prop::sample::select(vec![(5, 5, 5), (5, 5, 2), (5, 3, 4), (4, 2, 4), (4, 2, 7), (4, 1, 8)]);
    let remasking =
        prop::sample::select(vec![Remasking::LowConfidence, Remasking::Random, Remasking::Margin, Remasking::Entropy]);
    let methods = (prop::sample::select(decoders()), prop::sample::select(caches()), 0..3_usize);
    let numbers = (prop::sample::select(vec![0.0, 0.8]), prop::sample::select(vec![0.0_f32, 1.5]), 0..5_u64);
    let limits = prop::sample::select(vec![(None, None), (None, Some(0)), (Some(5), None), (Some(5), Some(2))]);
    (prompt, lengths, remasking, methods, numbers, limits, any::<[bool; 3]>()).prop_map(
        |(prompt, lengths, remasking, methods, numbers, limits, flags)| {
            let (gen_length, block_length, steps) = lengths;
            let (decoder, cache, length) = methods;
            let (temperature, cfg_scale, seed) = numbers;
            let (max_nfe, suffix_window) = limits;
            let [stop_at_eos, confidence_eos_eot_inf, reference_compat] = flags;
            let is_free = matches!(decoder, DecoderConfig::Threshold(_) | DecoderConfig::Klass(_));
            let length = match length {
                1 => LengthConfig::Append(Append::default()),
                2 if is_free && max_nfe.is_none() => LengthConfig::Daedal(Daedal { initial_gen_length: 2 }),
                _ => LengthConfig::default(),
            };
            let config = SamplerConfig {
                steps: Some(steps),
                gen_length,
                length,
                block_length: Some(block_length),
                temperature,
                cfg_scale,
                remasking,
                decoder,
                cache,
                suffix_window,
                max_nfe,
                confidence_eos_eot_inf,
                reference_compat: reference_compat && gen_length % block_length == 0 && steps % 2 == 0,
                stop_at_eos,
                seed,
                ..Default::default()
            };
            Request::new(prompt, config)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_steps_are_those_without(
        requests in prop::collection::vec(any_request(), 1..5),
        draft_length in 1..6_usize,
        seed in 0..9_u64,
    ) {
        let mut engine = engine(LENGTH, seed);
        let valid: Vec<Request> = requests.into_iter().filter(|request| engine.validate(request).is_ok()).collect();
        let drafted: Vec<Request> = valid.iter().map(|request| speculative(request, draft_length)).collect();
        let together = engine.generate_batch(&drafted, |_| ControlFlow::Continue(())).unwrap();
        for ((request, drafted), answer) in valid.iter().zip(&drafted).zip(together) {
            let plain = engine.generate(request).unwrap();
            prop_assert_eq!(without_forwards(&plain), without_forwards(&answer));
            prop_assert!(answer.nfe <= plain.nfe && answer.states() >= answer.nfe);
            prop_assert_eq!(plain.states(), plain.nfe);
            prop_assert_eq!(engine.generate(drafted).unwrap(), answer);
        }
        prop_assert_eq!(engine.predictor().slots().count(), 0);
    }
}

/// Seven positions that do not depend on one another: what is drafted comes true.
fn independent() -> Engine<TabularPredictor> {
    let p = |position: usize, token: usize| if token == position % 3 { 1.0 + position as f64 } else { 0.1 };
    let joint = (0..TOKENS.pow(LENGTH as u32)).map(|index| {
        let token = |position: usize| index / TOKENS.pow((LENGTH - 1 - position) as u32) % TOKENS;
        (0..LENGTH).map(|position| p(position, token(position))).product()
    });
    Engine::new(TabularPredictor::new(TOKENS, LENGTH, joint.collect()).unwrap(), SPECIAL)
}

#[test]
fn drafts_that_come_true_take_no_forward() {
    let config = SamplerConfig { gen_length: LENGTH, ..Default::default() };
    for (draft_length, nfe) in [(1, 4), (2, 3), (3, 3), (6, 2), (9, 2)] {
        for remasking in [Remasking::LowConfidence, Remasking::Random, Remasking::Margin, Remasking::Entropy] {
            let plain = request(&[], SamplerConfig { remasking, ..config.clone() });
            let answer = independent().generate(&speculative(&plain, draft_length)).unwrap();
            // The first forward has nothing to draft from, and every state of the others is one that a step is taken with.
            assert_eq!((answer.nfe, answer.states()), (nfe, LENGTH), "{remasking}: {draft_length}");
            let nfe: Vec<usize> = answer.trace.steps.iter().map(|step| step.nfe).collect();
            assert_eq!(nfe[..3], [1, 1, 0]);
            let plain = independent().generate(&plain).unwrap();
            assert_eq!(without_forwards(&plain), without_forwards(&answer));
        }
    }
}

/// The observer is told of each step as it was, whichever forward it was taken with.
#[test]
fn steps_are_observed_one_by_one() {
    let observed = |draft_length| {
        let config = SamplerConfig { gen_length: LENGTH, draft_length, ..Default::default() };
        let mut seen = Vec::new();
        let answers = engine(LENGTH, 3).generate_batch(&[request(&[], config)], |progress| {
            seen.push((progress.canvas.to_vec(), progress.step.commits.clone(), progress.settled));
            ControlFlow::Continue(())
        });
        assert_eq!(answers.unwrap()[0].trace.steps.len(), seen.len());
        seen
    };
    assert_eq!(observed(None), observed(Some(4)));
}

/// The tokens of a step are those of all its states, and a hurried job keeps its promise.
#[test]
fn cost_and_deadline_know_of_drafts() {
    let config = SamplerConfig { gen_length: LENGTH, draft_length: Some(2), ..Default::default() };
    let mut engine = independent();
    let job = engine.submit(request(&[], config)).unwrap();
    let mut forwards = 0;
    let mut tokens = Vec::new();
    while let Some(cost) = engine.cost(job) {
        tokens.push(cost.tokens);
        if tokens.len() == 3 {
            engine.hurry(job, NonZeroUsize::MIN);
        }
        engine.advance(&[job], |_, event| {
            if let Event::Finished(answer) = event {
                forwards = answer.nfe;
                assert!(!answer.output.contains(&MASK));
            }
        });
    }
    assert_eq!((tokens, forwards), (vec![LENGTH, 3 * LENGTH, 3 * LENGTH], 3));
}

/// The block cache that writes down the spans of the first steps of blocks.
#[derive(Debug)]
struct Recorder(Arc<Mutex<Vec<Range<usize>>>>);

impl Cache for Recorder {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        at.step == 0
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        let span = at.previous_block.min(at.block.start)..at.block.end;
        if at.block_step == 0 && at.step > 0 {
            self.0.lock().unwrap().push(span.clone());
        }
        Recompute::Span(span)
    }
}

/// What the last step of a block has seen of masks in the prompt, or a draft has written there, is gone when the next block
/// begins.
#[test]
fn masks_of_the_prompt_are_recomputed_with_the_block_that_fills_them() {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let config = SamplerConfig { gen_length: 4, block_length: Some(2), ..Default::default() };
    let holes = request(&[0, MASK, 0], config).with_cache(Recorder(Arc::clone(&spans)));
    engine(LENGTH, 0).generate(&holes).unwrap();
    let found = spans.lock().unwrap();
    assert!(!found.is_empty() && found.iter().all(|span| *span == (1..LENGTH)), "{found:?}");
}

/// A cache of one's own, whose spans do not follow one another.
#[derive(Debug)]
struct Restless;

impl Cache for Restless {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        at.step == 0
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.start..at.length - at.step % 2)
    }
}

#[test]
fn what_cannot_be_drafted_is_refused() {
    let config = SamplerConfig { gen_length: 4, draft_length: Some(2), ..Default::default() };
    let refused = |config: SamplerConfig| engine(LENGTH, 0).validate(&request(&[], config)).unwrap_err();
    for decoder in ["wino", "remdm", "llada2_edit"] {
        let decoder: DecoderKind = decoder.parse().unwrap();
        let error = refused(SamplerConfig { decoder: decoder.into(), ..config.clone() });
        assert_eq!(error.to_string(), format!("draft_length does not go with decoder {decoder}"));
        assert_eq!(error.hint().unwrap().to_string(), "decoder schedule");
    }
    let error = refused(SamplerConfig { cache: CacheKind::Dllm.into(), ..config.clone() });
    assert_eq!(error.to_string(), "draft_length does not go with cache dllm");
    assert_eq!(error.hint().unwrap().to_string(), "cache dual");
    for draft_length in [0, 17, usize::MAX] {
        let error = refused(SamplerConfig { draft_length: Some(draft_length), ..config.clone() });
        assert!(error.to_string().contains("draft_length"), "{error}");
    }
    let own = request(&[], config).with_cache(Restless);
    assert!(engine(LENGTH, 0).validate(&own).unwrap_err().to_string().contains("does not go with"));
}
