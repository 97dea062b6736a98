//! Each option of the sampler does what it says, and impossible ones are refused with what would work.

use llada_core::tabular::TabularPredictor;
use llada_infer::{
    CacheKind, DecoderConfig, Engine, SamplerConfig, SpecialTokens,
    decoder::{Dream, RemdmOptions, Wino},
};

use crate::{MASK, SPECIAL, TOKENS, engine, refreshed, request};

/// A joint distribution of independent positions: position i is token j with probability `table[i][j]`.
fn independent(table: &[[f64; TOKENS]]) -> Engine<TabularPredictor> {
    let joint = (0..TOKENS.pow(table.len() as u32)).map(|index| {
        let token = |position: usize| index / TOKENS.pow((table.len() - 1 - position) as u32) % TOKENS;
        table.iter().enumerate().map(|(position, p)| p[token(position)]).product()
    });
    Engine::new(TabularPredictor::new(TOKENS, table.len(), joint.collect()).unwrap(), SPECIAL)
}

fn config(gen_length: usize) -> SamplerConfig {
    SamplerConfig { gen_length, ..Default::default() }
}

/// The positions in the order they were committed in.
fn order(engine: &mut Engine<TabularPredictor>, config: SamplerConfig) -> Vec<usize> {
    let answer = engine.generate(&request(&[], config)).unwrap();
    answer.trace.steps.iter().flat_map(|step| &step.commits).map(|commit| commit.position).collect()
}

const TABLE: [[f64; TOKENS]; 3] = [[0.48, 0.47, 0.05, 0.0], [0.40, 0.20, 0.20, 0.20], [0.05, 0.05, 0.2, 0.7]];

#[test]
fn orders_rank_by_their_measure() {
    let by =
        |name: &str| order(&mut independent(&TABLE), SamplerConfig { remasking: name.parse().unwrap(), ..config(3) });
    assert_eq!(by("low_confidence"), [2, 0, 1]);
    assert_eq!(by("margin"), [2, 1, 0]);
    assert_eq!(by("entropy"), [0, 2, 1]);
}

#[test]
fn blocks_run_from_left_to_right() {
    let blocks = SamplerConfig { block_length: Some(1), ..config(3) };
    assert_eq!(order(&mut independent(&TABLE), blocks), [0, 1, 2]);
}

#[test]
fn eos_is_banned_or_deferred() {
    let plain = independent(&TABLE).generate(&request(&[], config(3))).unwrap();
    assert_eq!(plain.output, [0, 0, 3]);
    let banned = SamplerConfig { logits_eos_inf: true, ..config(3) };
    assert_eq!(independent(&TABLE).generate(&request(&[], banned)).unwrap().output, [0, 0, 2]);
    for remasking in ["low_confidence", "margin", "entropy"] {
        let remasking = remasking.parse().unwrap();
        let deferred = SamplerConfig { confidence_eos_eot_inf: true, remasking, ..config(3) };
        assert_eq!(order(&mut independent(&TABLE), deferred)[2], 2, "{remasking}");
    }
}

#[test]
fn logprobs_are_those_of_the_predictions() {
    let asked = request(&[], config(3)).with_top_logprobs(2);
    let answer = independent(&TABLE).generate(&asked).unwrap();
    let plain = independent(&TABLE).generate(&request(&[], config(3))).unwrap();
    assert_eq!((answer.output, answer.nfe), (plain.output, plain.nfe));
    for step in &answer.trace.steps {
        let (commit, found) = (step.commits[0], &step.logprobs[0]);
        let p = TABLE[commit.position];
        assert!((f64::from(found.logprob) - p[commit.token as usize].ln()).abs() < 1e-6);
        let [first, second] = found.top[..] else { panic!("{found:?}") };
        assert_eq!(first.0, commit.token);
        assert!(first.1 >= second.1 && (f64::from(second.1) - p[second.0 as usize].ln()).abs() < 1e-6);
    }
}

/// A model without turns has no end of them to defer.
#[test]
fn eos_alone_is_deferred_without_an_end_of_turn() {
    let predictor = TabularPredictor::new(2, 2, vec![0.0, 0.0, 0.9, 0.1]).unwrap();
    let mut engine = Engine::new(predictor, SpecialTokens { eos: 1, eot: None });
    assert_eq!(order(&mut engine, config(2)), [0, 1]);
    let deferred = SamplerConfig { confidence_eos_eot_inf: true, ..config(2) };
    assert_eq!(order(&mut engine, deferred.clone()), [1, 0]);
    // The reference would defer the end of a turn alone: nothing.
    let warm = SamplerConfig { temperature: 0.5, reference_compat: true, ..deferred };
    let error = engine.generate(&request(&[], warm.clone())).unwrap_err();
    assert!(error.to_string().ends_with("no such token is known"), "{error}");
    let hint = error.hint().unwrap().to_string();
    assert!(hint.starts_with("temperature 0, or neither reference_compat"), "{hint}");
    assert!(engine.validate(&request(&[], SamplerConfig { temperature: 0.0, ..warm.clone() })).is_ok());
    assert!(engine.validate(&request(&[], SamplerConfig { reference_compat: false, ..warm })).is_ok());
}

/// Above temperature 0 the reference defers the end of a turn but not the end of the text.
#[test]
fn the_reference_defers_eos_at_temperature_zero_alone() {
    let last = |temperature, reference_compat| {
        let sure = [[0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let config =
            SamplerConfig { confidence_eos_eot_inf: true, temperature, reference_compat, seed: 1, ..config(2) };
        order(&mut independent(&sure), config)[1]
    };
    assert_eq!([last(0.0, false), last(0.0, true), last(0.5, false), last(0.5, true)], [1, 1, 1, 0]);
}

#[test]
fn stopping_ends_at_the_first_settled_eos() {
    let table = [[0.9, 0.1, 0.0, 0.0], [0.1, 0.1, 0.0, 0.8], [0.4, 0.3, 0.3, 0.0], [0.5, 0.5, 0.0, 0.0]];
    let stopping = SamplerConfig { stop_at_eos: true, ..config(4) };
    let answer = independent(&table).generate(&request(&[], stopping.clone())).unwrap();
    assert_eq!((answer.output, answer.nfe), (vec![0, 3], 2));
    // What follows the block that it ends in is never decoded.
    let blocks = SamplerConfig { block_length: Some(2), ..stopping.clone() };
    let answer = independent(&table).generate(&request(&[], blocks)).unwrap();
    assert_eq!((answer.output, answer.nfe), (vec![0, 3], 2));
    assert!(answer.trace.steps.iter().all(|step| step.block == 0));
    // An end of the text in the prompt ends nothing.
    let answer = independent(&table).generate(&request(&[0, 3], SamplerConfig { gen_length: 2, ..stopping })).unwrap();
    assert_eq!((answer.output, answer.nfe), (vec![0, 0], 2));
}

#[test]
fn holes_in_the_prompt_are_filled() {
    let only = SamplerConfig { steps: Some(1), ..config(0) };
    let answer = independent(&TABLE).generate(&request(&[MASK, 1, MASK], only)).unwrap();
    assert_eq!((answer.prompt, answer.output, answer.nfe), (vec![0, 1, 3], vec![], 1));
    let both = independent(&TABLE).generate(&request(&[MASK, 1], config(1))).unwrap();
    assert_eq!((both.prompt, both.output, both.nfe), (vec![0, 1], vec![3], 1));
    // The reference lets holes compete with the block but does not count them: one of the two stays.
    let compat = SamplerConfig { reference_compat: true, ..config(1) };
    let answer = independent(&TABLE).generate(&request(&[MASK, 1], compat)).unwrap();
    assert_eq!((answer.prompt, answer.output), (vec![MASK, 1], vec![3]));
}

#[test]
fn more_steps_than_tokens_commit_nothing_but_count() {
    let answer = engine(3, 1).generate(&request(&[], SamplerConfig { steps: Some(7), ..config(3) })).unwrap();
    assert_eq!(answer.nfe, 7);
    assert!(answer.trace.steps[3..].iter().all(|step| step.commits.is_empty()));
}

#[test]
fn impossible_settings_are_refused_with_what_works() {
    let compat = |config| SamplerConfig { reference_compat: true, ..config };
    for (config, prompt, message, hint) in [
        (
            compat(SamplerConfig { block_length: Some(4), ..config(6) }),
            vec![],
            "block_length 4",
            "block_length 3 or block_length 6",
        ),
        (
            compat(SamplerConfig { block_length: Some(3), steps: Some(3), ..config(6) }),
            vec![],
            "steps 3",
            "steps 2 or steps 4",
        ),
        (
            SamplerConfig { block_length: Some(2), steps: Some(2), ..config(6) },
            vec![],
            "less than the 3 blocks",
            "steps 3",
        ),
        (SamplerConfig { steps: Some(0), ..config(6) }, vec![], "steps is 0", "at least 1"),
        (config(0), vec![1], "gen_length is 0", "gen_length 128"),
        (config(4), vec![1; 3], "max_sequence_length 6", "gen_length 3 is the most that fits"),
        (config(1), vec![1; 6], "max_sequence_length 6", "shorten the prompt"),
        (config(1), vec![1, 5], "id 5 at position 1 is no token of the model, whose ids are below 5", ""),
        (SamplerConfig { temperature: -1.0, ..config(4) }, vec![], "temperature -1", ""),
        (SamplerConfig { temperature: f64::NAN, ..config(4) }, vec![], "temperature NaN", ""),
        (
            SamplerConfig {
                decoder: DecoderConfig::Dream(Dream { alg_temp: -0.5, ..Default::default() }),
                ..config(4)
            },
            vec![],
            "alg_temp -0.5",
            "",
        ),
        (
            SamplerConfig {
                decoder: DecoderConfig::Wino(Wino { threshold_back: -0.1, ..Default::default() }),
                ..config(4)
            },
            vec![],
            "threshold_back -0.1",
            "",
        ),
        (
            SamplerConfig { decoder: DecoderConfig::Remdm(RemdmOptions { eta: f32::NAN }), ..config(4) },
            vec![],
            "eta NaN",
            "",
        ),
        (
            SamplerConfig { cache: refreshed(CacheKind::Dual, 0), ..config(4) },
            vec![],
            "refresh_interval is 0",
            "at least 1",
        ),
        (
            SamplerConfig { cache: refreshed(CacheKind::Dllm, 0), ..config(4) },
            vec![],
            "refresh_interval is 0",
            "at least 1",
        ),
        (SamplerConfig { cfg_scale: f32::INFINITY, ..config(4) }, vec![], "cfg_scale inf", ""),
    ] {
        let error = engine(6, 0).generate(&request(&prompt, config)).unwrap_err();
        assert!(error.to_string().contains(message), "{error} lacks {message:?}");
        let found = error.hint().map_or_else(String::new, |found| found.to_string());
        assert!(found.contains(hint) && found.is_empty() == hint.is_empty(), "{found:?} lacks {hint:?}");
    }
}

/// Blocks that do not divide the answer: the last is shorter, and steps go to blocks by their length.
#[test]
fn the_last_block_may_be_shorter() {
    let config = SamplerConfig { block_length: Some(4), ..config(6) };
    let answer = engine(6, 2).generate(&request(&[], config.clone())).unwrap();
    let blocks: Vec<usize> = answer.trace.steps.iter().map(|step| step.block).collect();
    assert_eq!((answer.output.len(), blocks), (6, vec![0, 0, 0, 0, 1, 1]));
    assert!(!answer.output.contains(&MASK));
    for steps in 2..9 {
        let answer =
            engine(6, 2).generate(&request(&[], SamplerConfig { steps: Some(steps), ..config.clone() })).unwrap();
        assert_eq!((answer.nfe, answer.output.contains(&MASK)), (steps, false));
    }
}

#[test]
fn answers_are_cut_at_the_first_end() {
    for (ids, expected) in [(&[0, 1, 2, 3, 3][..], &[0, 1][..]), (&[0, 3, 2], &[0]), (&[0, 1], &[0, 1]), (&[3], &[])] {
        assert_eq!(SPECIAL.cut(ids), expected);
    }
    let without_turns = SpecialTokens { eot: None, ..SPECIAL };
    assert_eq!(without_turns.cut(&[0, 2, 3]), [0, 2]);
}
