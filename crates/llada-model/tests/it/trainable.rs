//! A model in training predicts: as the reference does, as `Transformer` does, and without a trace in its gradient.

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use llada_model::{Device, Dtype, TrainableTransformer, TrainingBatch, Transformer};

use crate::{FIXTURES, fixture, forward};

fn load(name: &str, dtype: Dtype) -> TrainableTransformer {
    TrainableTransformer::load(&fixture(name), Device::Cpu, dtype).unwrap()
}

#[test]
fn logits_equal_the_reference() {
    for name in FIXTURES {
        for (ids, expected) in forward::golden(name) {
            let wanted: Vec<usize> = (0..ids.len()).collect();
            let found = forward::logits(&mut load(name, Dtype::F32), &[Row::new(&ids, &wanted)]).remove(0);
            let difference = forward::largest_difference(&found, &expected);
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn it_predicts_to_the_bit_what_the_loaded_model_does() {
    for name in FIXTURES {
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let mut loaded = Transformer::load(&fixture(name), Device::Cpu, dtype).unwrap();
            let mut model = load(name, dtype);
            assert_eq!(model.banned(), loaded.banned());
            assert_eq!(model.padded_vocab_size(), loaded.padded_vocab_size());
            assert_eq!(model.mask_id(), loaded.mask_id());
            assert_eq!(model.max_sequence_length(), loaded.max_sequence_length());
            let ids: Vec<u32> = (0..30).map(|i| i * 7 % 500).collect();
            let row = [Row::new(&ids, &[3, 17, 29])];
            assert!(forward::logits(&mut model, &row) == forward::logits(&mut loaded, &row), "{name}, {dtype}");
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let mut model = load("tiny-llada", dtype);
        let (long, short) = (vec![7; 40], vec![9; 11]);
        let rows = [Row::new(&long, &[1, 38]), Row::new(&short, &[]), Row::new(&short, &[0, 5, 10])];
        let together = forward::logits(&mut model, &rows);
        for (row, found) in rows.iter().zip(together) {
            assert_eq!(forward::logits(&mut model, std::slice::from_ref(row)).remove(0), found, "{dtype}");
        }
    }
}

#[test]
fn predicting_leaves_the_gradient_as_it_was() {
    let mut model = load("tiny-llada", Dtype::F32);
    let batch = TrainingBatch {
        ids: &[1, 2, 3, 4],
        row_lengths: &[4],
        wanted: &[1],
        targets: &[5],
        weights: &[1.0],
        entropy: None,
        share: 1.0,
    };
    model.accumulate(&batch).unwrap();
    let before = model.gradient().norm().unwrap();
    forward::logits(&mut model, &[Row::new(&[1, 2, 3], &[0, 2])]);
    assert_eq!(model.gradient().norm().unwrap(), before);
    assert!(before > 0.0);
}

#[test]
fn what_it_does_not_do_is_refused() {
    let mut model = load("tiny-llada", Dtype::F32);
    let row = Row::new(&[1, 2, 3], &[1]);
    let least_similar = Recompute::LeastSimilar { within: 0..3, count: 3 };
    for (row, message) in [
        (Row { cache: Some(CacheSlot(0)), ..row.clone() }, "keeps no keys and values"),
        (Row { shadowed: true, ..row.clone() }, "has no shadows"),
        (Row { recompute: Recompute::Span(0..2), ..row.clone() }, "computes every position"),
        (Row { recompute: least_similar.clone(), ..row.clone() }, "computes every position"),
        (Row::new(&[], &[]), "no tokens"),
        (Row::new(&[1, 512], &[0]), "token id 512 at position 1"),
        (Row::new(&[1; 257], &[0]), "max_sequence_length is 256"),
        (Row::new(&[1, 2], &[2]), "logits of position 2 are wanted"),
    ] {
        let error = model.forward(&[row]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    for recompute in [Recompute::All, least_similar] {
        assert_eq!(model.kept_bytes(100, &recompute), 0);
    }
}
