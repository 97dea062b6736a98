//! Logits: equal to the reference's, and independent of what else is in the batch or wanted.

use llada_core::predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row};
use llada_model::{Device, Dtype, ModelError, Precision, Transformer};
use safetensors::SafeTensors;

use crate::{FIXTURES, families::FAMILIES, fixture};

fn load(name: &str, dtype: Dtype) -> Transformer {
    Transformer::load(&fixture(name), Device::Cpu, dtype).unwrap()
}

/// The logits of all `wanted` positions of every row.
pub(crate) fn logits(model: &mut impl MaskPredictor, rows: &[Row<'_>]) -> Vec<Vec<f32>> {
    let mut hidden = model.forward(rows).unwrap();
    let mut all = Vec::new();
    for (row, Row { wanted, .. }) in rows.iter().enumerate() {
        let mut out = Vec::new();
        hidden.logits(row, 0..wanted.len(), &mut out).unwrap();
        all.push(out);
    }
    all
}

const SLOT: CacheSlot = CacheSlot(5);

/// A row that keeps its keys and values.
fn cached<'a>(ids: &'a [u32], wanted: &'a [usize], recompute: Recompute) -> Row<'a> {
    Row { cache: Some(SLOT), recompute, ..Row::new(ids, wanted) }
}

fn everywhere(ids: &[u32]) -> Vec<usize> {
    (0..ids.len()).collect()
}

/// The golden inputs and logits of a fixture.
pub(crate) fn golden(name: &str) -> Vec<(Vec<u32>, Vec<f32>)> {
    let bytes = std::fs::read(fixture(name).join("golden_logits.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| file.tensor(name).unwrap().data().to_vec();
    let row = |i| {
        let ids = words(&format!("input_ids.{i}"));
        let width = ids.len() / file.tensor(&format!("input_ids.{i}")).unwrap().shape().iter().product::<usize>();
        let ids = ids.chunks(width).map(|id| u32::from_le_bytes(id[..4].try_into().unwrap())).collect();
        let logits = words(&format!("logits.{i}"));
        (ids, logits.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect())
    };
    (0..4).map(row).collect()
}

pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_equal_the_reference() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        for (ids, expected) in golden(name) {
            let wanted = everywhere(&ids);
            let found = &logits(&mut model, &[Row::new(&ids, &wanted)])[0];
            let difference = largest_difference(found, &expected);
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn bf16_follows_f32() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::Bf16);
        for (ids, expected) in golden(name) {
            let wanted = everywhere(&ids);
            let found = &logits(&mut model, &[Row::new(&ids, &wanted)])[0];
            let spread = expected.iter().map(|x| x.abs()).fold(0.0, f32::max);
            let difference = largest_difference(found, &expected) / spread;
            assert!(difference < 0.05, "{name}: {difference}");
        }
    }
}

/// Rows of a ragged batch are bit for bit what they are alone.
#[test]
fn ragged_rows_are_independent() {
    for (name, dtype) in [(FIXTURES[0], Dtype::F32), (FIXTURES[1], Dtype::Bf16)] {
        let mut model = load(name, dtype);
        let inputs: Vec<Vec<u32>> = (1..9).map(|n| (0..7 * n).map(|i| (i * 31 + n) % 500).collect()).collect();
        let wanted: Vec<Vec<usize>> = inputs.iter().map(|ids| everywhere(ids)).collect();
        let rows: Vec<Row<'_>> = inputs.iter().zip(&wanted).map(|(ids, wanted)| Row::new(ids, wanted)).collect();
        let together = logits(&mut model, &rows);
        for (row, together) in rows.iter().zip(together) {
            assert_eq!(logits(&mut model, std::slice::from_ref(row))[0], together);
        }
    }
}

/// Asking for fewer positions changes none of those asked for.
#[test]
fn wanted_rows_are_rows_of_the_whole() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        let ids: Vec<u32> = (0..40).map(|i| i * 11 % 500).collect();
        let wanted = [0, 3, 17, 39];
        let (all, every) = (everywhere(&ids), model.padded_vocab_size());
        let whole = logits(&mut model, &[Row::new(&ids, &all)]).remove(0);
        let some = logits(&mut model, &[Row::new(&ids, &wanted)]).remove(0);
        for (row, position) in some.chunks(every).zip(wanted) {
            assert!(largest_difference(row, &whole[position * every..][..every]) < 1e-4);
        }
        let mut chunk = Vec::new();
        let mut hidden = model.forward(&[Row::new(&ids, &wanted)]).unwrap();
        hidden.logits(0, 1..3, &mut chunk).unwrap();
        assert!(largest_difference(&chunk, &some[every..3 * every]) < 1e-4);
        assert!(hidden.logits(0, 3..5, &mut chunk).is_err());
        assert!(hidden.logits(1, 0..1, &mut chunk).is_err());
    }
}

#[test]
fn the_mask_and_dead_rows_are_banned() {
    let model = load("tiny-llada-gqa-bf16", Dtype::F32);
    assert_eq!(model.banned(), [763, 764, 765, 766, 767]);
    assert_eq!(model.padded_vocab_size(), 768);
}

#[test]
fn impossible_rows_are_refused() {
    let mut model = load("tiny-llada", Dtype::F32);
    let mut refused = |ids: &[u32], wanted: &[usize]| model.forward(&[Row::new(ids, wanted)]).unwrap_err();
    assert!(matches!(refused(&[1, 512], &[0]), ModelError::TokenOutOfRange { id: 512, position: 1, .. }));
    assert!(matches!(refused(&[1; 257], &[0]), ModelError::TooLong { length: 257, max_sequence_length: 256 }));
    assert!(matches!(refused(&[], &[]), ModelError::Row { row: 0, .. }));
    assert!(matches!(refused(&[1, 2], &[2]), ModelError::Row { row: 0, .. }));
}

/// Recomputing every position is no cache; recomputing some leaves the others' keys and values as they were.
#[test]
fn kept_keys_and_values_are_reused() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        let (old, new): (Vec<u32>, Vec<u32>) =
            ((0..40).map(|i| i * 7 % 500).collect(), (0..40).map(|i| i * 3).collect());
        let wanted: Vec<usize> = (10..20).collect();
        let fresh = logits(&mut model, &[Row::new(&new, &wanted)]).remove(0);
        let mut run = |ids: &[u32], recompute| logits(&mut model, &[cached(ids, &wanted, recompute)]).remove(0);
        assert_eq!(run(&new, Recompute::All), fresh);
        run(&old, Recompute::All);
        let stale = run(&new, Recompute::Span(10..20));
        assert!(largest_difference(&stale, &fresh) > 1e-3, "{name}: the other positions were recomputed");
        assert!(largest_difference(&run(&new, Recompute::Span(0..40)), &fresh) < 1e-4);
        assert!(largest_difference(&run(&new, Recompute::Span(10..20)), &fresh) < 1e-4);
        let mut refused = |row: Row<'_>| model.forward(&[row]).unwrap_err().to_string();
        let short = refused(cached(&new[..30], &wanted, Recompute::Span(10..20)));
        assert!(short.contains("slot 5 keeps nothing of 30 tokens"), "{short}");
        assert!(refused(cached(&new, &wanted, Recompute::Span(12..20))).contains("position 10"));
        let without = Row { recompute: Recompute::Span(10..20), ..Row::new(&new, &wanted) };
        assert!(refused(without).contains("no slot has the rest"));
        model.release(SLOT);
        assert!(model.forward(&[cached(&new, &wanted, Recompute::Span(10..20))]).is_err());
    }
}

/// The drift of masks tells how much of what they see has changed since they were kept.
#[test]
fn drift_follows_what_has_changed() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        let mask = model.mask_id();
        // A prompt, a block of which `known` tokens are known, and a block of masks, whose drift is measured.
        let text = |known: u32| -> Vec<u32> { (0..40).map(|i| if i < 10 + known { i * 3 } else { mask }).collect() };
        let wanted: Vec<usize> = (20..30).collect();
        let drift = |model: &mut Transformer, known, recompute, measures_drift| {
            let ids = text(known);
            let row = Row { measures_drift, ..cached(&ids, &wanted, recompute) };
            let mut hidden = model.forward(&[row]).unwrap();
            let mut logits = Vec::new();
            hidden.logits(0, 0..wanted.len(), &mut logits).unwrap();
            (hidden.drift(0).unwrap(), logits)
        };
        let span = || Recompute::Span(10..30);
        assert_eq!(drift(&mut model, 0, Recompute::All, true).0, None);
        let (same, logits) = drift(&mut model, 0, span(), true);
        assert!(same.unwrap().abs() < 1e-6, "{name}: {same:?}");
        assert_eq!(drift(&mut model, 0, span(), false), (None, logits));
        let few = drift(&mut model, 2, span(), true).0.unwrap();
        drift(&mut model, 0, Recompute::All, false);
        let many = drift(&mut model, 10, span(), true).0.unwrap();
        assert!(1e-6 < few && few < many && many < 2.0, "{name}: {few} {many}");
        // Each forward is compared with the one before it.
        assert!(drift(&mut model, 10, span(), true).0.unwrap() < few);
    }
}

/// Each state of a sequence sees its own tokens, and what the slot has of the others, bit for bit as if it were alone.
#[test]
fn states_that_share_a_slot_are_computed_as_alone() {
    for name in FAMILIES.map(|(name, _)| name).into_iter().chain(FIXTURES) {
        for precision in [Dtype::F32.into(), Dtype::Bf16.into(), Precision::Int8] {
            let mut model = Transformer::load(&fixture(name), Device::Cpu, precision).unwrap();
            let before: Vec<u32> = (0..40).map(|i| i * 7 % 500).collect();
            let mut present = before.clone();
            present[10..20].fill(model.mask_id());
            let mut states = vec![(present, Vec::from_iter(10..20))];
            for position in [13, 10, 19, 12] {
                let (mut ids, mut wanted) = states[states.len() - 1].clone();
                ids[position] = 3 * position as u32;
                wanted.retain(|&masked| masked != position);
                states.push((ids, wanted));
            }
            for recompute in [Recompute::Span(10..20), Recompute::Span(10..40), Recompute::All] {
                let rows: Vec<Row<'_>> =
                    states.iter().map(|(ids, wanted)| cached(ids, wanted, recompute.clone())).collect();
                let after = cached(&before, &[30, 31], Recompute::Span(30..40));
                let mut run = |batches: &[&[Row<'_>]]| {
                    logits(&mut model, &[cached(&before, &[10], Recompute::All)]);
                    let found: Vec<_> = batches.iter().flat_map(|rows| logits(&mut model, rows)).collect();
                    (found, logits(&mut model, std::slice::from_ref(&after)))
                };
                let alone = run(&rows.iter().map(std::slice::from_ref).collect::<Vec<_>>());
                // The slot has the last state afterwards, so what follows is the same too.
                assert_eq!(run(&[&rows]), alone, "{name} {precision}: {recompute:?}");
            }
            let (ids, wanted) = &states[0];
            let (span, other) = (Recompute::Span(10..20), Recompute::Span(10..25));
            let conflict = [cached(ids, wanted, span), cached(ids, wanted, other)];
            let error = model.forward(&conflict).unwrap_err().to_string();
            assert!(error.contains("row 1") && error.contains("computes other positions"), "{error}");
        }
    }
}

/// Requests in one batch have, bit for bit, the logits of each alone, and so do the forwards after it: blocks over what their
/// slots keep, two states of one of them, shadows, and rows without slots, of one length and of several.
#[test]
fn requests_are_computed_as_alone() {
    let before = tch::get_num_threads();
    for name in FAMILIES.map(|(name, _)| name).into_iter().chain(FIXTURES) {
        for precision in [Dtype::F32.into(), Dtype::Bf16.into(), Precision::Int8] {
            let mut model = Transformer::load(&fixture(name), Device::Cpu, precision).unwrap();
            let takes_shadows = !model.config().logit_shift;
            let texts: Vec<Vec<u32>> =
                [40, 40, 61, 97, 16, 16].iter().map(|&n| (0..n).map(|i| (i * 7 + n * 31) % 400).collect()).collect();
            let blocks: Vec<Vec<usize>> = texts.iter().map(|ids| (ids.len() - 13..ids.len() - 3).collect()).collect();
            let in_slot = |row: usize, ids, recompute| Row {
                cache: Some(CacheSlot(row)),
                recompute,
                shadowed: row == 3 && takes_shadows,
                ..Row::new(ids, &blocks[row])
            };
            let mut other = texts[1].clone();
            other[30] = 5;
            let block = |row: usize| Recompute::Span(blocks[row][0]..texts[row].len());
            let whole: Vec<Row<'_>> = (0..4).map(|row| in_slot(row, &texts[row], Recompute::All)).collect();
            let mut steps: Vec<Row<'_>> = (0..4).map(|row| in_slot(row, &texts[row], block(row))).collect();
            steps.insert(2, in_slot(1, &other, block(1)));
            let even: Vec<Row<'_>> = (0..2).map(|row| Row::new(&texts[row], &blocks[row])).collect();
            steps.extend((2..6).map(|row| Row::new(&texts[row], &blocks[row])));
            let mut run = |apart: bool, threads| {
                tch::set_num_threads(threads);
                let mut found = Vec::new();
                for batch in [&whole, &steps, &steps, &even] {
                    let rows = if apart { 1 } else { batch.len() };
                    found.extend(batch.chunks(rows).flat_map(|rows| logits(&mut model, rows)));
                }
                found
            };
            for threads in [1, 3] {
                assert!(run(false, threads) == run(true, threads), "{name} {precision}, {threads} threads");
            }
        }
    }
    tch::set_num_threads(before);
}

/// One row that is refused refuses the batch, and changes nothing of what the others keep.
#[test]
fn a_refused_batch_can_be_repeated() {
    let mut model = load("tiny-llada", Dtype::F32);
    let (ids, wanted): (Vec<u32>, Vec<usize>) = ((0..40).collect(), (10..20).collect());
    let span = || cached(&ids, &wanted, Recompute::Span(10..20));
    for first in [cached(&ids, &wanted, Recompute::All), span()] {
        let before = logits(&mut model, std::slice::from_ref(&first));
        assert!(model.forward(&[first, Row::new(&[1, 512], &[0])]).is_err());
        let after = logits(&mut model, &[span()]);
        assert!(largest_difference(&before[0], &after[0]) < 1e-4);
    }
}

/// What is kept is two rows of keys and values a layer, and of dLLM-Cache two rows of outputs too.
#[test]
fn kept_bytes_are_those_of_the_tensors() {
    for (dtype, bytes) in [(Dtype::F32, 4), (Dtype::Bf16, 2)] {
        let model = load("tiny-llada-gqa-bf16", dtype);
        let config = model.config();
        let keys_and_values = 2 * config.num_key_value_heads * config.head_dim;
        let kept = |recompute| model.kept_bytes(10, &recompute);
        assert_eq!(kept(Recompute::All), 10 * config.num_hidden_layers * bytes * keys_and_values);
        assert_eq!(kept(Recompute::Span(3..4)), kept(Recompute::All));
        let with_outputs = kept(Recompute::LeastSimilar { within: 0..10, count: 10 });
        assert_eq!(with_outputs, 10 * config.num_hidden_layers * bytes * (keys_and_values + 2 * config.hidden_size));
    }
}

/// The least similar: all of a span is the span; none changed is what was; and a few are nearer to all than none is.
#[test]
fn the_least_similar_are_recomputed() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        let old: Vec<u32> = (0..40).map(|i| i * 7 % 500).collect();
        let mut new = old.clone();
        new[13] = 401;
        let wanted: Vec<usize> = (10..20).collect();
        let fresh = logits(&mut model, &[Row::new(&old, &wanted)]).remove(0);
        let mut run = |ids: &[u32], recompute| logits(&mut model, &[cached(ids, &wanted, recompute)]).remove(0);
        let least_similar = |within, count| Recompute::LeastSimilar { within, count };
        run(&old, Recompute::All);
        let span = run(&new, Recompute::Span(10..20));

        let before = run(&old, least_similar(0..40, 40));
        assert!(largest_difference(&before, &fresh) < 1e-4);
        assert!(largest_difference(&before, &run(&old, least_similar(10..20, 2))) < 1e-4);
        let few = run(&new, least_similar(10..20, 4));
        assert!(largest_difference(&span, &run(&new, least_similar(10..20, 10))) < 1e-4);
        let (by_few, by_none) = (largest_difference(&few, &span), largest_difference(&before, &span));
        assert!(0.0 < by_few && by_few < 0.7 * by_none, "{name}: {by_few} of {by_none}");

        model.release(SLOT);
        model.forward(&[cached(&old, &wanted, Recompute::All)]).unwrap();
        let error = model.forward(&[cached(&new, &wanted, least_similar(10..20, 4))]).unwrap_err();
        assert!(error.to_string().contains("slot 5 keeps nothing of 40 tokens"), "{error}");
        let shadowed = Row { shadowed: true, ..cached(&new, &wanted, least_similar(0..40, 40)) };
        assert!(model.forward(&[shadowed]).unwrap_err().to_string().contains("shadows"));
    }
}

/// The first block of a fixture as a model of its own.
fn first_block() -> Transformer {
    let (from, to) = (fixture("tiny-llada-gqa-bf16"), tempfile::tempdir().unwrap());
    let config = std::fs::read_to_string(from.join("config.json")).unwrap();
    std::fs::write(to.path().join("config.json"), config.replace("\"n_layers\": 4", "\"n_layers\": 1")).unwrap();
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let kept = tensors.into_iter().filter(|(name, _)| !name.contains("blocks.") || name.contains("blocks.0."));
    std::fs::write(to.path().join("model.safetensors"), safetensors::serialize(kept, None).unwrap()).unwrap();
    Transformer::load(to.path(), Device::Cpu, Dtype::F32).unwrap()
}

/// In one block nothing can pass on what a token is, so its only shadow predicts what a mask in its place would.
#[test]
fn a_shadow_is_a_mask_in_the_place_of_its_token() {
    let mut model = first_block();
    let ids: Vec<u32> = (0..20).map(|i| i * 37 % 700).collect();
    for position in [0, 7, 19] {
        let mut masked = ids.clone();
        masked[position] = model.mask_id();
        let wanted = [position];
        let row = Row { shadowed: true, ..Row::new(&ids, &wanted) };
        let [shadow, mask, token] =
            [row, Row::new(&masked, &wanted), Row::new(&ids, &wanted)].map(|row| logits(&mut model, &[row]).remove(0));
        assert!(largest_difference(&shadow, &mask) < 1e-5);
        assert!(largest_difference(&shadow, &token) > 1e-3);
    }
}

/// Nothing sees a shadow; a shadow sees all but its token; and it is the same alone, in a batch, and with what is kept.
#[test]
fn shadows_stand_in_for_their_tokens() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        let (mask, every) = (model.mask_id(), model.padded_vocab_size());
        let shadowed = |ids, wanted| Row { shadowed: true, ..Row::new(ids, wanted) };
        // The shadow of the only token sees itself alone.
        let lone = logits(&mut model, &[shadowed(&[7], &[0])]).remove(0);
        assert!(largest_difference(&lone, &logits(&mut model, &[Row::new(&[mask], &[0])])[0]) < 1e-4, "{name}");
        let ids: Vec<u32> = (0..40).map(|i| if i % 3 == 0 { mask } else { i * 7 % 500 }).collect();
        let wanted: Vec<usize> = (10..20).collect();
        let plain = logits(&mut model, &[Row::new(&ids, &wanted)]).remove(0);
        let with = logits(&mut model, &[shadowed(&ids, &wanted)]).remove(0);
        for (i, &position) in wanted.iter().enumerate() {
            let [plain, with] = [&plain, &with].map(|rows| &rows[i * every..(i + 1) * every]);
            assert_eq!(largest_difference(plain, with) < 1e-4, ids[position] == mask, "{name} {position}");
        }
        let short = [&ids[..20], &[mask; 3]].concat();
        let batch = [Row::new(&short, &wanted), shadowed(&ids, &wanted)];
        assert_eq!(logits(&mut model, &batch)[1], with, "{name}");
        for recompute in [Recompute::All, Recompute::Span(10..20), Recompute::Span(0..40)] {
            let row = Row { shadowed: true, ..cached(&ids, &wanted, recompute) };
            let found = logits(&mut model, std::slice::from_ref(&row)).remove(0);
            assert!(largest_difference(&found, &with) < 1e-4, "{name} {:?}", row.recompute);
        }
        // What is kept are the tokens' keys and values.
        let after = cached(&ids, &wanted, Recompute::Span(10..20));
        assert!(largest_difference(&logits(&mut model, &[after])[0], &plain) < 1e-4, "{name}");
    }
}
