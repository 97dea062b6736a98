//! The engine that steps: whoever joins, leaves or fails, each answer is what it would be alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute};
use llada_infer::{
    CacheConfig, CacheKind, DecoderConfig, DecoderKind, Engine, Event, Generation, InferError, Job, JobId,
    LengthConfig, LengthKind, Request, SamplerConfig, Score, ScoreConfig, ScoreRequest, length::Daedal,
};
use proptest::prelude::*;

use crate::{MASK, engine, handed_out, lively, refreshed, request};

pub(crate) const LENGTH: usize = 7;

/// Any decoder with any cache and any length that goes with it.
pub(crate) fn any_config() -> impl Strategy<Value = SamplerConfig> {
    let decoder = prop::sample::select(DecoderKind::ALL.to_vec());
    let cache = prop::sample::select(CacheKind::ALL.to_vec());
    let length = prop::sample::select(LengthKind::ALL.to_vec());
    let guidance = prop::sample::select(vec![0.0_f32, 1.0]);
    let suffix = prop::sample::select(vec![None, Some(0), Some(1), Some(9)]);
    (decoder, cache, length, guidance, suffix, 1..=3_usize, 0..9_u64).prop_map(
        |(decoder, cache, length, cfg_scale, suffix_window, block_length, seed)| {
            let config = SamplerConfig {
                decoder: lively(decoder),
                cache: refreshed(cache, 3),
                length: match length {
                    LengthKind::Daedal => LengthConfig::Daedal(Daedal { initial_gen_length: 2 }),
                    length => length.into(),
                },
                cfg_scale,
                suffix_window,
                seed,
                gen_length: 5,
                block_length: Some(block_length),
                temperature: 0.7,
                ..Default::default()
            };
            // DAEDAL goes with some of the decoders, and a suffix window with neither it nor every cache.
            if config.validate(0).is_ok() {
                config
            } else {
                SamplerConfig { length: LengthConfig::Append(Default::default()), suffix_window: None, ..config }
            }
        },
    )
}

/// What the owner of an engine may do between two steps.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few dozen of them in a test")]
enum Act {
    Submit(SamplerConfig),
    Score(u64),
    Step { max_tokens: usize },
    Cancel(usize),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any_config().prop_map(Act::Submit),
        1 => (0..9_u64).prop_map(Act::Score),
        6 => (1..40_usize).prop_map(|max_tokens| Act::Step { max_tokens }),
        1 => (0..6_usize).prop_map(Act::Cancel),
    ]
}

fn scoring(seed: u64) -> Job {
    let options = vec![ScoreRequest::new([0, 3], [1, 2, 1]), ScoreRequest::new([1], [2])];
    Job::Score { options, config: ScoreConfig { mc_num: 20, batch_size: 4, seed, ..Default::default() } }
}

/// What became of the jobs of an engine.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) answers: BTreeMap<JobId, Generation>,
    scores: BTreeMap<JobId, Vec<Score>>,
    pub(crate) errors: BTreeMap<JobId, InferError>,
}

impl Ends {
    pub(crate) fn hear(&mut self, id: JobId, event: Event<'_>) {
        match event {
            Event::Finished(answer) => drop(self.answers.insert(id, answer)),
            Event::Scored(scores) => drop(self.scores.insert(id, scores)),
            Event::Failed(error) => drop(self.errors.insert(id, error)),
            _ => (),
        }
    }

    /// Steps until no job is left.
    pub(crate) fn finish<P: MaskPredictor>(mut self, engine: &mut Engine<P>, max_tokens: usize) -> Self {
        while engine.running().next().is_some() {
            engine.step(max_tokens, |id, event| self.hear(id, event));
        }
        self
    }
}

/// The number of slots that the jobs of an engine may use: one each with a cache, two with guidance too.
fn slots_of(running: &BTreeMap<JobId, SamplerConfig>) -> usize {
    let slots = |config: &SamplerConfig| match config.cache {
        CacheConfig::None => 0,
        _ => 1 + usize::from(config.cfg_scale > 0.0),
    };
    running.values().map(slots).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever joins and leaves when: each that stays has the answer of `generate`, and slots are those of who runs.
    #[test]
    fn any_interleaving_gives_each_its_own_answer(acts in prop::collection::vec(any_act(), 1..30), table in 0..5_u64) {
        let mut stepped = engine(LENGTH, table);
        let (mut ends, mut running, mut asked) = (Ends::default(), BTreeMap::new(), BTreeMap::new());
        let mut scored = BTreeMap::new();
        for act in acts {
            match act {
                Act::Submit(config) => {
                    let id = stepped.submit(request(&[1], config.clone())).unwrap();
                    running.insert(id, config.clone());
                    asked.insert(id, config);
                }
                Act::Score(seed) => drop(scored.insert(stepped.submit(scoring(seed)).unwrap(), seed)),
                Act::Step { max_tokens } => stepped.step(max_tokens, |id, event| ends.hear(id, event)),
                Act::Cancel(index) => {
                    if let Some(&id) = running.keys().nth(index) {
                        prop_assert!(stepped.cancel(id).is_some());
                        running.remove(&id);
                        asked.remove(&id);
                    }
                }
            }
            running.retain(|id, _| !ends.answers.contains_key(id));
            let slots: Vec<CacheSlot> = stepped.predictor().slots().collect();
            prop_assert!(slots.len() <= slots_of(&running), "{slots:?}");
            let going: BTreeSet<JobId> = stepped.running().collect();
            prop_assert!(running.keys().all(|id| going.contains(id)));
        }
        let ends = ends.finish(&mut stepped, 9);
        prop_assert!(ends.errors.is_empty());
        prop_assert_eq!(stepped.predictor().slots().count(), 0);
        let mut alone = engine(LENGTH, table);
        prop_assert_eq!(ends.answers.len(), asked.len());
        for (id, config) in asked {
            prop_assert_eq!(&ends.answers[&id], &alone.generate(&request(&[1], config)).unwrap());
        }
        for (id, seed) in scored {
            let Job::Score { options, config } = scoring(seed) else { unreachable!("a score") };
            let go_on = |_, _| std::ops::ControlFlow::Continue(());
            prop_assert_eq!(&ends.scores[&id], &alone.score_options(&options, &config, go_on).unwrap());
        }
    }

    /// A hurried generation takes no more forwards than it was given, and its answer is complete.
    #[test]
    fn hurried_answers_are_complete(config in any_config(), before in 0..5_usize, forwards in 1..6_usize) {
        let mut engine = engine(LENGTH, 2);
        let mut ends = Ends::default();
        let id = engine.submit(request(&[1], config.clone())).unwrap();
        for _ in 0..before {
            engine.step(usize::MAX, |id, event| ends.hear(id, event));
        }
        if engine.hurry(id, NonZeroUsize::new(forwards).unwrap()) {
            prop_assert!(engine.cost(id).unwrap().forwards_left.is_some_and(|left| left <= forwards));
        }
        let answer = ends.finish(&mut engine, usize::MAX).answers.remove(&id).unwrap();
        prop_assert!(answer.nfe <= before + forwards, "{} forwards", answer.nfe);
        prop_assert!(!answer.output.is_empty() && !answer.output.contains(&MASK), "{:?}", answer.output);
        let canvas = answer.trace.canvas_at(usize::MAX);
        prop_assert_eq!(handed_out(&config.decoder, &canvas[1..]), &answer.output);
    }

    /// The events of a generation are its trace; growth moves what was before; what has settled never changes.
    #[test]
    fn events_tell_the_whole_story(config in any_config(), table in 0..5_u64) {
        let mut engine = engine(LENGTH, table);
        let id = engine.submit(request(&[1], config.clone())).unwrap();
        let first = match config.length {
            LengthConfig::Fixed => 5,
            LengthConfig::Append(_) => config.block_length.unwrap(),
            _ => 2,
        };
        let mut canvas = [vec![1], vec![MASK; first]].concat();
        let (mut settled_ids, mut answer) = (Vec::<u32>::new(), None);
        while answer.is_none() {
            engine.step(usize::MAX, |_, event| match event {
                Event::Step(progress) => {
                    let mut moved = canvas.clone();
                    if let Some(growth) = progress.growth {
                        moved.splice(growth.at..growth.at, vec![MASK; growth.count]);
                    }
                    for &position in &progress.step.revoked {
                        moved[position] = MASK;
                    }
                    for commit in &progress.step.commits {
                        let is_edit = matches!(config.decoder, DecoderConfig::Llada2Edit(_));
                        assert!(is_edit || moved[commit.position] == MASK);
                        moved[commit.position] = commit.token;
                    }
                    assert_eq!(moved, progress.canvas);
                    canvas = moved;
                    assert!(progress.canvas.starts_with(&settled_ids), "what had settled has changed");
                    assert!(progress.settled >= settled_ids.len());
                    settled_ids = progress.canvas[..progress.settled].to_vec();
                }
                Event::Finished(found) => answer = Some(found),
                event => panic!("{event:?}"),
            });
        }
        let answer = answer.unwrap();
        prop_assert_eq!(handed_out(&config.decoder, &canvas[1..]), &answer.output);
        prop_assert_eq!(engine.running().next(), None);
        prop_assert_eq!(engine.cancel(id), None);
    }
}

/// Five tokens after `prompt`, two a step, with the dual cache.
pub(crate) fn fixed(prompt: &[u32]) -> Request {
    let config =
        SamplerConfig { gen_length: 5, block_length: Some(2), cache: CacheKind::Dual.into(), ..Default::default() };
    request(prompt, config)
}

/// Slots are named anew for every job, and nothing of the thousand jobs before is left.
#[test]
fn a_thousand_requests_leave_nothing() {
    let mut engine = engine(LENGTH, 1);
    let mut most = 0;
    for seed in 0..1000 {
        let config = SamplerConfig { seed, cfg_scale: 1.0, temperature: 1.0, ..fixed(&[1]).config };
        engine.submit(request(&[1], config)).unwrap();
        // Three run at a time, and one in ten is cancelled on its way.
        let running: Vec<JobId> = engine.running().collect();
        if seed % 10 == 0 {
            engine.cancel(running[0]);
        }
        while engine.running().count() > 2 {
            engine.step(20, |_, _| ());
        }
        most = most.max(engine.predictor().slots().map(|slot| slot.0 + 1).max().unwrap_or(0));
    }
    Ends::default().finish(&mut engine, usize::MAX);
    assert_eq!((most, engine.predictor().slots().count()), (6, 0));
}

/// With a bound on its tokens, a step takes those that have waited longest; none is passed over.
#[test]
fn jobs_take_turns() {
    let mut engine = engine(LENGTH, 1);
    let plain = |gen_length| request(&[1], SamplerConfig { gen_length, ..Default::default() });
    let ids: Vec<JobId> = [3, 6, 3].map(|gen_length| engine.submit(plain(gen_length)).unwrap()).to_vec();
    assert_eq!(
        engine.cost(ids[1]).map(|cost| (cost.tokens, cost.kept_bytes, cost.forwards_left)),
        Some((7, 0, Some(6)))
    );
    let mut turns = Vec::new();
    for _ in 0..6 {
        let mut turn = Vec::new();
        engine.step(8, |id, event| {
            if let Event::Step(_) = event {
                turn.push(ids.iter().position(|&other| other == id).unwrap());
            }
        });
        turns.push(turn);
    }
    // 4 + 7 tokens are too many, 4 + 4 are not.
    assert_eq!(turns, [vec![0], vec![1], vec![0, 2], vec![1], vec![0, 2], vec![1]]);
    // Whoever is not named rests.
    let rest: Vec<JobId> = engine.running().collect();
    engine.advance(&[ids[2], ids[2]], |id, _| assert_eq!(id, ids[2]));
    assert_eq!(rest, [ids[2], ids[1]]);
}

/// What a cancelled generation has so far, and nothing of a score.
#[test]
fn a_cancelled_answer_is_what_there_is() {
    let mut engine = engine(LENGTH, 1);
    let id = engine.submit(fixed(&[1])).unwrap();
    engine.step(usize::MAX, |_, _| ());
    let cost = engine.cost(id).unwrap();
    assert_eq!((cost.tokens, cost.forwards_left), (2, Some(4)));
    assert_eq!(cost.kept_bytes, engine.predictor().kept_bytes(6, &Recompute::All));
    let part = engine.cancel(id).unwrap();
    assert_eq!(part.nfe, 1);
    assert_eq!(part.output.iter().filter(|&&id| id == MASK).count(), 4);
    assert_eq!((engine.cancel(id), engine.cost(id)), (None, None));
    let score = engine.submit(scoring(0)).unwrap();
    assert!(!engine.hurry(score, NonZeroUsize::MIN));
    assert_eq!(engine.cost(score).unwrap().forwards_left, Some(5));
    assert_eq!(engine.cancel(score), None);
    assert_eq!(engine.running().count(), 0);
}

/// A request that is refused is not taken in.
#[test]
fn refused_jobs_are_not_taken_in() {
    let mut engine = engine(LENGTH, 1);
    assert!(matches!(engine.submit(fixed(&[1; 4])), Err(InferError::TooLong { .. })));
    let empty = Job::Score { options: vec![ScoreRequest::new([1], [])], config: ScoreConfig::default() };
    assert!(engine.submit(empty).is_err());
    assert_eq!(engine.running().count(), 0);
}
