//! Fine-tuning's choice of what is learned, and what it weighs: as PyTorch computed it, and the laws of ragged rows.

use llada_core::{
    objective::{LossWeight, Normalisation},
    rng::Noise,
};
use llada_model::{Adapter, Device, Dtype, TrainableTransformer};
use llada_train::{
    config::{Padding, RunConfig, SftConfig, Training},
    data::{Record, rows},
    objective::{Answers, MaskedBatch, Objective, Rows},
};
use toml::Table;

use crate::{
    alignment::{MASK, check_close, field, golden, merged},
    fixture,
    lora::load as adapted,
    told,
};

const EOS: u32 = 508;

/// Which tokens of the golden rows may be masked.
fn maskable(golden: &serde_json::Value, name: &str, row_length: usize) -> Vec<bool> {
    let key = if name.contains("last answer") { "last_answer" } else { "answers" };
    let answers: Vec<Vec<u8>> = field(golden, key);
    let mut maskable = Vec::new();
    for answer in answers {
        let end = match name {
            _ if name.contains("no padding") => answer.len(),
            _ if name.contains("one EOS") => row_length.min(answer.len() + 1),
            _ => row_length,
        };
        let is_answer = |position: usize| answer.get(position).map_or(position < end, |&answer| answer == 1);
        maskable.extend((0..row_length).map(is_answer));
    }
    maskable
}

#[test]
fn golden_sft() {
    let golden = golden("sft.json");
    let mut model = adapted("adapter_all", Dtype::F32.into());
    let ids: Vec<Vec<u32>> = field(&golden, "ids");
    let (t, u): (Vec<f32>, Vec<Vec<f64>>) = (field(&golden, "t"), field(&golden, "u"));
    let row_length = ids[0].len();
    let mut masked = |name: &str, answers: Answers| {
        let answers = Answers { maskable: maskable(&golden, name, row_length), ..answers };
        let rows = Rows { ids: ids.concat(), row_length, answers: Some(answers) };
        let batch = MaskedBatch::diffusion(&rows, &t, &u.concat(), MASK).unwrap();
        model.clear_gradient().unwrap();
        let loss = batch.loss(&model.accumulate(&batch.batch()).unwrap()).unwrap();
        (batch, loss, model.gradient().norm().unwrap())
    };
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let (name, weight): (String, String) = (field(case, "maskable"), field(case, "weight"));
        let normalisation: Normalisation = field(case, "normalisation");
        let loss_weight = if weight == "uniform" { LossWeight::Uniform } else { LossWeight::Scheduler };
        let (batch, loss, norm) = masked(&name, Answers { normalisation, loss_weight, ..Answers::default() });
        let what = format!("{name}, {normalisation:?}, {weight}");
        assert_eq!(batch.batch().ids, field::<Vec<Vec<u32>>>(case, "noisy").concat(), "{what}");
        let weights = field::<Vec<Vec<f64>>>(case, "token_weights").concat();
        let wanted: Vec<usize> = (0..weights.len()).filter(|&token| weights[token] > 0.0).collect();
        assert_eq!(batch.batch().wanted, wanted, "{what}");
        for (&token, &found) in wanted.iter().zip(batch.weights()) {
            check_close(&what, found.into(), weights[token]);
            assert!((f64::from(found) - weights[token]).abs() < 1e-6, "{what}: token {token}");
        }
        check_close(&what, loss, field(case, "loss"));
        check_close(&what, norm, field(case, "grad_norm_lora"));
    }
    let case = &golden["complementary"];
    let answers = Answers { complementary: true, ..Answers::default() };
    let (batch, loss, norm) = masked(&field::<String>(case, "maskable"), answers);
    check_close("complementary", loss, field(case, "loss"));
    check_close("complementary", norm, field(case, "grad_norm_lora"));
    let (first, second) = batch.batch().ids.split_at(3 * row_length);
    let clean = ids.concat();
    let learned = maskable(&golden, "last answer, no padding", row_length);
    for token in 0..clean.len() {
        assert_eq!((first[token] == MASK) ^ (second[token] == MASK), learned[token]);
    }
}

/// Three conversations of different lengths.
fn records() -> Vec<Record> {
    let record = |length: u32, start: usize| Record {
        ids: (0..length).map(|i| i * 7919 % 500).collect(),
        answers: std::iter::once(start..length as usize).collect(),
    };
    vec![record(9, 4), record(14, 5), record(9, 3)]
}

#[test]
fn rows_without_padding_are_as_if_they_were_alone() {
    let mut model = merged("adapter_all");
    for padding in [Padding::OneEos, Padding::None] {
        let sft = SftConfig { padding, normalisation: Normalisation::Token, ..SftConfig::default() };
        let records = records();
        let batch = Objective::Diffusion.mask(&rows(&records, &sft, EOS), MASK, true, Noise::new(4), 1).unwrap();
        let ends = usize::from(padding == Padding::OneEos);
        let lengths = [9 + ends, 14 + ends, 9 + ends];
        assert_eq!(batch.batch().row_lengths, lengths);
        assert_eq!(batch.tokens(), 32 + 3 * ends);
        // Side by side, and one by one.
        let together = model.cross_entropy(&batch.batch()).unwrap();
        let mut alone = Vec::new();
        for (piece, length) in batch.micro_batches(1).iter().zip(lengths) {
            assert_eq!((piece.batch().row_lengths, piece.tokens()), ([length].as_slice(), length));
            alone.extend(model.cross_entropy(&piece.batch()).unwrap());
        }
        assert_eq!(together.len(), alone.len());
        for (together, alone) in together.iter().zip(&alone) {
            assert!((together - alone).abs() < 1e-5 * alone.abs().max(1.0), "{together} {alone}");
        }
        // The mask of a token is that of its place, whatever rows it is among; so is a row's loss.
        let first = rows(&records[..1], &SftConfig { padding, ..sft.clone() }, EOS);
        let alone = Objective::Diffusion.mask(&first, MASK, false, Noise::new(4), 1).unwrap();
        let together = Objective::Diffusion.mask(&rows(&records, &sft, EOS), MASK, false, Noise::new(4), 1).unwrap();
        let (alone, together) = (alone.micro_batches(1), together.micro_batches(1));
        assert_eq!(alone[0].batch().ids, together[0].batch().ids);
    }
    let padded = rows(&records(), &SftConfig::default(), EOS);
    let batch = Objective::Diffusion.mask(&padded, MASK, true, Noise::new(4), 1).unwrap();
    assert_eq!(batch.batch().row_lengths, [15; 3]);
}

#[test]
fn gradients_of_ragged_rows_are_those_of_each_alone_whatever_is_dropped() {
    let sft = SftConfig { padding: Padding::None, ..SftConfig::default() };
    let batch = Objective::Diffusion.mask(&rows(&records(), &sft, EOS), MASK, true, Noise::new(4), 1).unwrap();
    let adapter = Adapter::open(&fixture("lora/adapter_all")).unwrap().with_lora_dropout(0.5);
    let (folder, device) = (fixture("tiny-llada"), Device::Cpu);
    for is_checkpointed in [false, true] {
        let mut model =
            TrainableTransformer::with_adapter(&folder, &adapter, Dtype::F32.into(), device, Dtype::F32).unwrap();
        model.set_activation_checkpointing(is_checkpointed);
        let mut gradient = |size: usize| {
            model.clear_gradient().unwrap();
            for piece in batch.micro_batches(size) {
                model.key_dropout(Noise::new(4), 1, piece.first_row());
                model.accumulate(&piece.batch()).unwrap();
            }
            let mut copy = model.gradient().zeros_like().unwrap();
            copy.copy_from(model.gradient()).unwrap();
            copy
        };
        let whole = gradient(3);
        for size in [1, 2] {
            let mut difference = whole.zeros_like().unwrap();
            difference.lerp(&whole, -1.0).unwrap();
            difference.add(&gradient(size)).unwrap();
            let (difference, norm) = (difference.norm().unwrap(), whole.norm().unwrap());
            assert!(difference < 1e-5 * norm, "{difference} of {norm}");
        }
    }
}

#[test]
fn the_baseline_learns_the_same_answers() {
    let rows = rows(&records(), &SftConfig { padding: Padding::None, ..SftConfig::default() }, EOS);
    let batch = Objective::Ar.mask(&rows, MASK, false, Noise::new(0), 0).unwrap();
    let maskable = &rows.answers.as_ref().unwrap().maskable;
    let learned: Vec<u32> = (0..maskable.len()).filter(|&token| maskable[token]).map(|token| rows.ids[token]).collect();
    assert_eq!(batch.batch().targets, learned);
    assert!(batch.batch().wanted.iter().zip(&learned).all(|(token, id)| batch.batch().ids[token + 1] == *id));
    let total: f32 = batch.weights().iter().sum();
    assert!((total - 1.0).abs() < 1e-6, "each row counts a third: {total}");
}

#[test]
fn settings_of_fine_tuning_are_honoured_or_refused() {
    let read = |keys: &str| {
        let text = format!("out = \"o\"\ndata = \"d\"\ninit = \"i\"\nsteps = 3\n{keys}");
        RunConfig::from_tables(Training::Sft, [text.parse::<Table>().unwrap()])
    };
    let sft =
        read("sft = { padding = \"one_eos\", turns = \"all\", normalisation = \"token\", format = \"sharegpt\" }");
    assert_eq!(sft.unwrap().sft.padding, Padding::OneEos);
    for (keys, message) in [
        ("sft.padding = \"zero\"", "unknown variant `zero`, expected one of `answer`, `one_eos`, `none`"),
        ("sft.turn = \"all\"", "unknown field `turn`"),
        ("sft.max_length = 0", "sft.max_length is 0\nhint: it has to be at least 1"),
        ("sft = { padding = \"none\", answer_length = 8 }", "hint: only sft.padding answer fills answers up"),
        (
            "packing = true",
            "packing is given\nhint: rows of any lengths are computed side by side: sft.padding one_eos",
        ),
        ("sft.packing = true", "sft.packing is given"),
        ("objective = \"ar\"\nsft.complementary = true", "objective is ar\nhint: it has no masks"),
    ] {
        let error = told(&read(keys).unwrap_err());
        assert!(error.contains(message), "{error}");
    }
}
