//! How long answers become: fixed, block by block, or as long as DAEDAL finds them to be.

use std::{collections::BTreeMap, ops::ControlFlow, ops::Range};

use llada_core::{
    CoreError,
    predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row},
    tabular::TabularPredictor,
};
use llada_infer::{
    CacheConfig, CacheKind, DecoderKind, Engine, Generation, LengthConfig, LengthKind, SamplerConfig, length::Daedal,
};
use proptest::prelude::*;

use crate::{MASK, SPECIAL, engine, handed_out, lively, refreshed, request};

/// How sure a model of 20 tokens is of token 0 or of the end of the text, by the length of the row and a position.
type Rule = fn(length: usize, position: usize) -> Sure;

enum Sure {
    Token(f32),
    Eos(f32),
}

/// A model that knows nothing but where its answer ends. It refuses to reuse a row of another length.
struct Scripted {
    rule: Rule,
    kept: BTreeMap<CacheSlot, usize>,
}

/// The logits of the wanted positions, by row.
struct ScriptedHidden(Vec<Vec<f32>>);

const WIDTH: usize = 20;
const BLANK: u32 = WIDTH as u32 - 1;

impl MaskPredictor for Scripted {
    type Error = CoreError;
    type Hidden<'a> = ScriptedHidden;

    fn padded_vocab_size(&self) -> usize {
        WIDTH
    }

    fn mask_id(&self) -> u32 {
        BLANK
    }

    fn banned(&self) -> &[u32] {
        &[BLANK]
    }

    fn max_sequence_length(&self) -> usize {
        200
    }

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<ScriptedHidden, CoreError> {
        let mut rows = Vec::new();
        for row in batch {
            let length = row.ids.len();
            let computed = row.recompute.range(length);
            assert!(row.wanted.iter().all(|position| computed.contains(position)));
            if !row.recompute.is_whole(length) {
                assert_eq!(self.kept[&row.cache.unwrap()], length);
            }
            if let Some(slot) = row.cache {
                self.kept.insert(slot, length);
            }
            let mut logits = Vec::new();
            for &position in row.wanted {
                let (id, p) = match (self.rule)(length, position) {
                    Sure::Token(p) => (0, p),
                    Sure::Eos(p) => (SPECIAL.eos, p),
                };
                let rest = ((1.0 - p) / (WIDTH - 1) as f32).ln();
                logits.extend((0..WIDTH as u32).map(|other| if other == id { p.ln() } else { rest }));
            }
            rows.push(logits);
        }
        Ok(ScriptedHidden(rows))
    }

    fn release(&mut self, slot: CacheSlot) {
        self.kept.remove(&slot);
    }

    fn kept_bytes(&self, length: usize, _recompute: &Recompute) -> usize {
        length
    }
}

impl Hidden for ScriptedHidden {
    type Error = CoreError;

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        out.clear();
        out.extend_from_slice(&self.0[row][range.start * WIDTH..range.end * WIDTH]);
        Ok(())
    }
}

fn scripted(rule: Rule) -> Engine<Scripted> {
    Engine::new(Scripted { rule, kept: BTreeMap::new() }, SPECIAL)
}

/// DAEDAL that begins with so many masks.
fn from(initial_gen_length: usize) -> LengthConfig {
    LengthConfig::Daedal(Daedal { initial_gen_length })
}

fn daedal() -> SamplerConfig {
    SamplerConfig {
        length: LengthKind::Daedal.into(),
        decoder: DecoderKind::Threshold.into(),
        gen_length: 192,
        block_length: Some(32),
        ..Default::default()
    }
}

/// Generates, and gives the length of the canvas after each step.
fn lengths<P: MaskPredictor>(
    engine: &mut Engine<P>,
    prompt: &[u32],
    config: &SamplerConfig,
) -> (Generation, Vec<usize>) {
    let mut lengths = Vec::new();
    let answers = engine.generate_batch(&[request(prompt, config.clone())], |progress| {
        lengths.push(progress.canvas.len());
        ControlFlow::Continue(())
    });
    let answer = answers.unwrap().remove(0);
    let canvas = answer.trace.canvas_at(usize::MAX);
    assert_eq!(canvas[..prompt.len()], answer.prompt);
    assert_eq!(handed_out(&config.decoder, &canvas[prompt.len()..]), answer.output);
    assert!(answer.trace.committed_at()[prompt.len()..].iter().all(Option::is_some));
    (answer, lengths)
}

/// 100 tokens, and an end that the model is sure of: from 64 masks to 120, where 20 · 0.99 / 32 = 0.62, in 7 forwards; the
/// next fills a block, and so does each after it.
#[test]
fn daedal_appends_until_an_end_is_in_sight() {
    let rule: Rule = |_, position| if position < 102 { Sure::Token(0.95) } else { Sure::Eos(0.99) };
    let (answer, lengths) = lengths(&mut scripted(rule), &[1, 1], &daedal());
    assert_eq!(lengths, [74, 82, 90, 98, 106, 114, 122, 122, 122, 122, 122]);
    assert_eq!(answer.output, [vec![0; 100], vec![3; 20]].concat());
    assert_eq!(answer.nfe, 11);
    // From 120 masks on nothing is to be appended, and 19 are enough if they are sure enough: 19 · 0.9 / 32 = 0.53.
    let start = SamplerConfig { length: from(119), ..daedal() };
    let rule: Rule = |_, position| if position < 102 { Sure::Token(0.95) } else { Sure::Eos(0.9) };
    assert_eq!(crate::lengths::lengths(&mut scripted(rule), &[1, 1], &start).0.output.len(), 119);
    // Never longer than what is asked for, whatever the model thinks.
    let endless: Rule = |_, _| Sure::Token(0.95);
    let most = SamplerConfig { gen_length: 96, ..daedal() };
    assert_eq!(crate::lengths::lengths(&mut scripted(endless), &[1, 1], &most).1, [74, 82, 90, 98, 98, 98, 98]);
}

/// The sixth position asks for room until the row has 100 tokens: each time it becomes 8 masks, of which 7 are sure.
#[test]
fn daedal_expands_what_is_unsure() {
    let rule: Rule = |length, position| match position {
        5 if length < 100 => Sure::Token(0.06),
        position if position + 20 < length => Sure::Token(0.95),
        _ => Sure::Eos(0.99),
    };
    for &cache in CacheKind::ALL {
        let (answer, lengths) = lengths(&mut scripted(rule), &[], &SamplerConfig { cache: cache.into(), ..daedal() });
        // The block is full after six expansions; the others take a forward each.
        assert_eq!(lengths, [71, 78, 85, 92, 99, 106, 106, 106, 106, 106], "{cache}");
        assert_eq!(answer.output, [vec![0; 86], vec![3; 20]].concat());
        // The positions are those of the final text: what was committed at 6 has moved five times by 7.
        let first = &answer.trace.steps[0].commits;
        assert_eq!(
            first.iter().map(|commit| commit.position).collect::<Vec<_>>(),
            [(0..5).collect::<Vec<_>>(), (48..74).collect()].concat()
        );
    }
    // An end that is sure enough expands nothing: 32 · 0.99 / 32.
    let rule: Rule = |_, position| match position {
        5 => Sure::Token(0.06),
        position if position < 32 => Sure::Token(0.95),
        _ => Sure::Eos(0.99),
    };
    assert_eq!(lengths(&mut scripted(rule), &[], &daedal()).0.output.len(), 64);
}

/// Masks of the prompt, and ends in it, say nothing about the answer: a hole stays one token however unsure it is, and
/// what follows it is no end of the answer, which begins with 64 masks and grows to 120 as without a prompt.
#[test]
fn daedal_leaves_the_prompt_alone() {
    let rule: Rule = |_, position| match position {
        0..20 => Sure::Token(0.06),
        20..122 => Sure::Token(0.95),
        _ => Sure::Eos(0.99),
    };
    let prompt = [[BLANK, SPECIAL.eos].repeat(10), vec![1, 1]].concat();
    let (answer, lengths) = lengths(&mut scripted(rule), &prompt, &SamplerConfig { gen_length: 160, ..daedal() });
    assert_eq!(lengths[..8], [94, 102, 110, 118, 126, 134, 142, 142]);
    assert_eq!(answer.prompt, [[0, SPECIAL.eos].repeat(10), vec![1, 1]].concat());
    assert_eq!(answer.output, [vec![0; 100], vec![SPECIAL.eos; 20]].concat());
}

/// The end is in the second of three blocks: the third is never on the canvas.
#[test]
fn append_stops_after_the_block_with_the_end() {
    let table = [[0.9, 0.1, 0.0, 0.0], [0.8, 0.2, 0.0, 0.0], [0.1, 0.1, 0.0, 0.8], [0.5, 0.3, 0.2, 0.0]];
    let joint = (0..4_usize.pow(6)).map(|index| {
        let token = |position: usize| index / 4_usize.pow((5 - position) as u32) % 4;
        table.iter().enumerate().map(|(position, p)| p[token(position)]).product::<f64>()
    });
    let mut engine = Engine::new(TabularPredictor::new(4, 6, joint.collect()).unwrap(), SPECIAL);
    let append =
        SamplerConfig { length: LengthKind::Append.into(), gen_length: 6, block_length: Some(2), ..Default::default() };
    let (answer, lengths) = lengths(&mut engine, &[], &append);
    assert_eq!((answer.output, answer.nfe), (vec![0, 0, 3, 0], 4));
    assert_eq!(lengths, [2, 4, 4, 4]);
    let stopping = SamplerConfig { stop_at_eos: true, ..append.clone() };
    let answer = engine.generate(&request(&[], stopping)).unwrap();
    assert_eq!((answer.output, answer.nfe), (vec![0, 0, 3], 3));
    // An end in the prompt ends nothing.
    let answer = engine.generate(&request(&[3], SamplerConfig { gen_length: 4, ..append })).unwrap();
    assert_eq!(answer.output.len(), 4);
}

#[test]
fn what_needs_a_known_length_does_not_go_with_daedal() {
    for (config, message, hint) in [
        (SamplerConfig { decoder: DecoderKind::Schedule.into(), ..daedal() }, "decoder schedule", "decoder threshold"),
        (SamplerConfig { decoder: DecoderKind::Wino.into(), ..daedal() }, "decoder wino", "decoder threshold"),
        (SamplerConfig { max_nfe: Some(9), ..daedal() }, "max_nfe 9", "length append"),
        (SamplerConfig { logits_eos_inf: true, ..daedal() }, "logits_eos_inf", "length fixed"),
        (SamplerConfig { length: from(0), ..daedal() }, "initial_gen_length is 0", "it has to be at least 1"),
    ] {
        let error = scripted(|_, _| Sure::Eos(0.9)).validate(&request(&[], config)).unwrap_err();
        assert!(error.to_string().contains(message), "{error} lacks {message:?}");
        assert_eq!(error.hint().unwrap().to_string(), hint);
    }
    let error = "long".parse::<LengthKind>().unwrap_err();
    assert_eq!(error.to_string(), "unknown length \"long\"");
    assert_eq!(error.hint().unwrap().to_string(), "fixed, append or daedal");
}

/// A random answer on the small table, of at most six tokens.
fn small(length: LengthConfig, decoder: DecoderKind, cache: CacheConfig, seed: u64) -> SamplerConfig {
    let decoder = lively(decoder);
    let config =
        SamplerConfig { length, decoder, cache, seed, gen_length: 6, block_length: Some(2), ..Default::default() };
    SamplerConfig { temperature: 0.8, ..config }
}

fn any_small() -> impl Strategy<Value = SamplerConfig> {
    let decoder = prop::sample::select(DecoderKind::ALL.to_vec());
    let cache = prop::sample::select(CacheKind::ALL.to_vec());
    (any::<bool>(), decoder, cache, 0..50_u64).prop_map(|(grows, decoder, cache, seed)| {
        let daedal = small(from(1), decoder, cache.into(), seed);
        let append = small(LengthConfig::Append(Default::default()), decoder, cache.into(), seed);
        if grows && daedal.validate(0).is_ok() { daedal } else { append }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_growing_answer_is_the_same_alone_and_in_a_batch(configs in prop::collection::vec(any_small(), 1..5)) {
        let mut engine = engine(7, 4);
        let requests: Vec<_> = configs.into_iter().map(|config| request(&[1], config)).collect();
        let together = engine.generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
        for (request, together) in requests.iter().zip(together) {
            prop_assert_eq!(engine.generate(request).unwrap(), together);
        }
    }

    /// Nothing but masks is left out or put in, refreshed at every step a cache changes nothing, and budgets hold.
    #[test]
    fn a_growing_answer_is_whole(config in any_small(), table in 0..9_u64) {
        let mut engine = engine(7, table);
        let cache = refreshed(CacheKind::from(&config.cache), 1);
        let refreshed = SamplerConfig { cache, ..config.clone() };
        let plain = SamplerConfig { cache: CacheConfig::None, ..config.clone() };
        let (answer, lengths) = lengths(&mut engine, &[1], &plain);
        prop_assert_eq!(&engine.generate(&request(&[1], refreshed)).unwrap(), &answer);
        let whole = answer.trace.canvas_at(usize::MAX)[1..].to_vec();
        prop_assert!(lengths.is_sorted() && lengths.last() == Some(&(1 + whole.len())));
        prop_assert!(!whole.contains(&MASK));
        if config.length == LengthConfig::Append(Default::default()) {
            let ended = whole.len() == 6 || whole[whole.len() - 2..].contains(&SPECIAL.eos);
            prop_assert!(ended && !whole[..whole.len() - 2].contains(&SPECIAL.eos));
            let bounded = SamplerConfig { max_nfe: Some(4), ..config };
            prop_assert!(engine.generate(&request(&[1], bounded)).unwrap().nfe <= 4);
        }
    }

    /// Without room to grow, all policies are one.
    #[test]
    fn an_answer_without_room_is_fixed(decoder in prop::sample::select(DecoderKind::ALL.to_vec()), seed in 0..50_u64) {
        let mut engine = engine(7, seed);
        let mut run = |length| {
            let config = small(length, decoder, CacheConfig::None, seed);
            let whole = SamplerConfig { block_length: None, ..config };
            whole.validate(0).is_ok().then(|| engine.generate(&request(&[1], whole)).unwrap())
        };
        let fixed = run(LengthConfig::Fixed);
        prop_assert_eq!(&run(LengthConfig::Append(Default::default())), &fixed);
        if let Some(daedal) = run(from(6)) {
            prop_assert_eq!(Some(daedal), fixed);
        }
    }
}
