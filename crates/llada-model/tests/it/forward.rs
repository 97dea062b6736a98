//! Logits: equal to the reference's, and independent of what else is in the batch or wanted.

use llada_core::predictor::{MaskPredictor, Reuse, Row};
use llada_model::{Device, Dtype, Llada, ModelError};
use safetensors::SafeTensors;

use crate::{FIXTURES, fixture};

fn load(name: &str, dtype: Dtype) -> Llada {
    Llada::load(&fixture(name), Device::Cpu, dtype).unwrap()
}

/// The logits of all `wanted` positions of every row.
fn logits(model: &mut Llada, rows: &[Row<'_>]) -> Vec<Vec<f32>> {
    model.forward(rows).unwrap();
    let mut out = Vec::new();
    let row = |(row, Row { wanted, .. }): (usize, &Row<'_>)| {
        model.logits(row, 0..wanted.len(), &mut out).unwrap();
        out.clone()
    };
    rows.iter().enumerate().map(row).collect()
}

fn reusing<'a>(ids: &'a [u32], wanted: &'a [usize], reuse: Reuse) -> Row<'a> {
    Row { reuse, ..Row::new(ids, wanted) }
}

fn everywhere(ids: &[u32]) -> Vec<usize> {
    (0..ids.len()).collect()
}

/// The golden inputs and logits of a fixture.
fn golden(name: &str) -> Vec<(Vec<u32>, Vec<f32>)> {
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

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
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
            assert_eq!(logits(&mut model, &[*row])[0], together);
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
        let (all, every) = (everywhere(&ids), model.logits_width());
        let whole = logits(&mut model, &[Row::new(&ids, &all)]).remove(0);
        let some = logits(&mut model, &[Row::new(&ids, &wanted)]).remove(0);
        for (row, position) in some.chunks(every).zip(wanted) {
            assert!(largest_difference(row, &whole[position * every..][..every]) < 1e-4);
        }
        let mut chunk = Vec::new();
        model.logits(0, 1..3, &mut chunk).unwrap();
        assert!(largest_difference(&chunk, &some[every..3 * every]) < 1e-4);
        assert!(model.logits(0, 3..5, &mut chunk).is_err());
        assert!(model.logits(1, 0..1, &mut chunk).is_err());
    }
}

#[test]
fn the_mask_and_dead_rows_are_banned() {
    let model = load("tiny-llada-gqa-bf16", Dtype::F32);
    assert_eq!(model.banned(), [763, 764, 765, 766, 767]);
    assert_eq!(model.logits_width(), 768);
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
        let mut run = |ids: &[u32], reuse| logits(&mut model, &[reusing(ids, &wanted, reuse)]).remove(0);
        let span = |start, end| Reuse::Span { slot: 5, start, end };
        let fresh = run(&new, Reuse::Nothing);
        assert_eq!(run(&new, Reuse::Keep { slot: 5 }), fresh);
        run(&old, Reuse::Keep { slot: 5 });
        let stale = run(&new, span(10, 20));
        assert!(largest_difference(&stale, &fresh) > 1e-3, "{name}: the other positions were recomputed");
        assert!(largest_difference(&run(&new, span(0, 40)), &fresh) < 1e-4);
        assert!(largest_difference(&run(&new, span(10, 20)), &fresh) < 1e-4);
        let mut refused = |ids: &[u32], reuse| model.forward(&[reusing(ids, &wanted, reuse)]).unwrap_err();
        assert!(refused(&new[..30], span(10, 20)).to_string().contains("slot 5 keeps nothing of 30 tokens"));
        assert!(refused(&new, span(12, 20)).to_string().contains("position 10"));
        model.forget();
        assert!(model.forward(&[reusing(&new, &wanted, span(10, 20))]).is_err());
    }
}

/// All of a span's tokens moved is the span; none moved is what was; and a few are nearer to all than none is.
#[test]
fn what_has_moved_is_recomputed() {
    for name in FIXTURES {
        let mut model = load(name, Dtype::F32);
        let old: Vec<u32> = (0..40).map(|i| i * 7 % 500).collect();
        let mut new = old.clone();
        new[13] = 401;
        let wanted: Vec<usize> = (10..20).collect();
        let mut run = |ids: &[u32], reuse| logits(&mut model, &[reusing(ids, &wanted, reuse)]).remove(0);
        let moved = |start, end, count| Reuse::Moved { slot: 5, start, end, count };
        run(&old, Reuse::Keep { slot: 5 });
        let span = run(&new, Reuse::Span { slot: 5, start: 10, end: 20 });

        let before = run(&old, moved(0, 40, 40));
        assert!(largest_difference(&before, &run(&old, Reuse::Nothing)) < 1e-4);
        assert!(largest_difference(&before, &run(&old, moved(10, 20, 2))) < 1e-4);
        let few = run(&new, moved(10, 20, 4));
        assert!(largest_difference(&span, &run(&new, moved(10, 20, 10))) < 1e-4);
        let (by_few, by_none) = (largest_difference(&few, &span), largest_difference(&before, &span));
        assert!(0.0 < by_few && by_few < 0.7 * by_none, "{name}: {by_few} of {by_none}");

        model.forget();
        model.forward(&[reusing(&old, &wanted, Reuse::Keep { slot: 5 })]).unwrap();
        let error = model.forward(&[reusing(&new, &wanted, moved(10, 20, 4))]).unwrap_err();
        assert!(error.to_string().contains("slot 5 keeps nothing of 40 tokens"), "{error}");
        let shadowed = Row { shadowed: true, ..reusing(&new, &wanted, moved(0, 40, 40)) };
        assert!(model.forward(&[shadowed]).unwrap_err().to_string().contains("shadows"));
    }
}

/// The first block of a fixture as a model of its own.
fn first_block() -> Llada {
    let (from, to) = (fixture("tiny-llada-gqa-bf16"), tempfile::tempdir().unwrap());
    let config = std::fs::read_to_string(from.join("config.json")).unwrap();
    std::fs::write(to.path().join("config.json"), config.replace("\"n_layers\": 4", "\"n_layers\": 1")).unwrap();
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let kept = tensors.into_iter().filter(|(name, _)| !name.contains("blocks.") || name.contains("blocks.0."));
    std::fs::write(to.path().join("model.safetensors"), safetensors::serialize(kept, None).unwrap()).unwrap();
    Llada::load(to.path(), Device::Cpu, Dtype::F32).unwrap()
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
        let (mask, every) = (model.mask_id(), model.logits_width());
        let shadowed = |ids, wanted, reuse| Row { shadowed: true, ..reusing(ids, wanted, reuse) };
        // The shadow of the only token sees itself alone.
        let lone = logits(&mut model, &[shadowed(&[7], &[0], Reuse::Nothing)]).remove(0);
        assert!(largest_difference(&lone, &logits(&mut model, &[Row::new(&[mask], &[0])])[0]) < 1e-4, "{name}");
        let ids: Vec<u32> = (0..40).map(|i| if i % 3 == 0 { mask } else { i * 7 % 500 }).collect();
        let wanted: Vec<usize> = (10..20).collect();
        let plain = logits(&mut model, &[Row::new(&ids, &wanted)]).remove(0);
        let with = logits(&mut model, &[shadowed(&ids, &wanted, Reuse::Nothing)]).remove(0);
        for (i, &position) in wanted.iter().enumerate() {
            let [plain, with] = [&plain, &with].map(|rows| &rows[i * every..(i + 1) * every]);
            assert_eq!(largest_difference(plain, with) < 1e-4, ids[position] == mask, "{name} {position}");
        }
        let short = [&ids[..20], &[mask; 3]].concat();
        let batch = [Row::new(&short, &wanted), shadowed(&ids, &wanted, Reuse::Nothing)];
        assert_eq!(logits(&mut model, &batch)[1], with, "{name}");
        let slot = 3;
        for reuse in
            [Reuse::Keep { slot }, Reuse::Span { slot, start: 10, end: 20 }, Reuse::Span { slot, start: 0, end: 40 }]
        {
            let kept = logits(&mut model, &[shadowed(&ids, &wanted, reuse)]).remove(0);
            assert!(largest_difference(&kept, &with) < 1e-4, "{name} {reuse:?}");
        }
        // What is kept are the tokens' keys and values.
        let after = reusing(&ids, &wanted, Reuse::Span { slot, start: 10, end: 20 });
        assert!(largest_difference(&logits(&mut model, &[after])[0], &plain) < 1e-4, "{name}");
    }
}
