//! Distillation: the values of distill.json.

use llada_core::{distillation::Trajectory, policy::View};
use llada_model::{Prediction, TrainableTransformer};
use llada_train::objective::{Answers, MaskedBatch, Rows};
use serde_json::Value;

use super::{MASK, check_close, field, golden, merged};

/// One half of a distillation's loss on the rows of distill.json: what the golden case says of it, and its gradient.
struct Half {
    cross_entropy: f64,
    entropy: f64,
}

/// Adds the gradient of weighted means to the model's, and compares the means with a golden case.
fn accumulate_half(
    model: &mut TrainableTransformer,
    rows: &[(Vec<u32>, View)],
    [cross_entropy, entropy]: [f64; 2],
    temperature: f64,
    golden: &Value,
) -> Half {
    let batches: Vec<MaskedBatch> =
        rows.iter().map(|(row, view)| MaskedBatch::of_views([(row.as_slice(), std::slice::from_ref(view))])).collect();
    let predictions: Vec<Vec<Prediction>> =
        batches.iter().map(|batch| model.predictions(&batch.batch(), temperature).unwrap()).collect();
    let all = predictions.concat();
    let entropies: Vec<f64> = field(golden, "H");
    let right: Vec<u8> = field(golden, "ok");
    for ((prediction, expected), right) in all.iter().zip(entropies).zip(right) {
        check_close("entropy", prediction.entropy.into(), expected);
        assert_eq!(u8::from(prediction.is_correct), right);
    }
    let correct = all.iter().filter(|prediction| prediction.is_correct).count() as f64;
    assert_eq!((all.len(), correct as usize), (field(golden, "scored"), field(golden, "correct")));
    for (batch, predictions) in batches.into_iter().zip(&predictions) {
        let of_entropy = |prediction: &Prediction| if prediction.is_correct { (entropy / correct) as f32 } else { 0.0 };
        let weights = vec![(cross_entropy / all.len() as f64) as f32; predictions.len()];
        let batch = batch.with_weights(weights).with_entropy(predictions.iter().map(of_entropy).collect(), temperature);
        model.accumulate(&batch.batch()).unwrap();
    }
    let mean = |value: fn(&Prediction) -> f32, of: fn(&Prediction) -> bool| {
        let chosen: Vec<f64> = all.iter().filter(|p| of(p)).map(|p| value(p).into()).collect();
        chosen.iter().sum::<f64>() / chosen.len().max(1) as f64
    };
    let half =
        Half { cross_entropy: mean(|p| p.cross_entropy, |_| true), entropy: mean(|p| p.entropy, |p| p.is_correct) };
    check_close("cross-entropy", half.cross_entropy, field(golden, "ce"));
    check_close("entropy of right predictions", half.entropy, field(golden, "entropy"));
    half
}

#[test]
fn golden_distill() {
    let golden = golden("distill.json");
    let mut model = merged("adapter_all");
    let (rows, blocks): (Vec<Vec<u32>>, Vec<usize>) = (field(&golden, "ids"), field(&golden, "blocks"));
    let steps: Vec<Vec<usize>> = field(&golden, "step_of_token");
    let trajectory = |i: usize| Trajectory {
        ids: &rows[i],
        prompt_length: 10,
        step_of_token: &steps[i],
        block_length: field(&golden, "block_length"),
    };

    let case = &golden["dparallel"];
    let masks: [Vec<Vec<u32>>; 2] = [field(case, "noisy"), field(case, "noisy_complement")];
    model.clear_gradient().unwrap();
    let mut loss = 0.0;
    for (half, name) in ["mask", "complement"].into_iter().enumerate() {
        let view = |i: usize| {
            // The masks of the block are given; the library draws its own.
            let ids = masks[half][i].clone();
            let block = 10 + 8 * blocks[i]..10 + 8 * (blocks[i] + 1);
            (rows[i].clone(), View { scored: block.filter(|&position| ids[position] == MASK).collect(), ids })
        };
        let half = accumulate_half(&mut model, &[view(0), view(1)], [1.0, 2.0], 0.5, &case[name]);
        loss += half.cross_entropy + 2.0 * half.entropy;
    }
    check_close("dParallel", loss, field(case, "loss"));
    check_close("dParallel", model.gradient().norm().unwrap(), field(case, "grad_norm_full"));

    let case = &golden["d3llm"];
    let tokens_out: Vec<usize> = field(case, "tokens_out");
    for (name, more) in [("intended", 0), ("like_the_code", 1)] {
        let case = &case[name];
        let halves: Vec<[View; 2]> =
            (0..2).map(|i| trajectory(i).decoded_halves(blocks[i], tokens_out[i] + more, MASK).unwrap()).collect();
        let noisy: Vec<Vec<u32>> = field(case, "noisy");
        assert_eq!([&halves[0][0].ids, &halves[1][0].ids], [&noisy[0], &noisy[1]]);
        model.clear_gradient().unwrap();
        let half = |half: usize| [0, 1].map(|i| (rows[i].clone(), halves[i][half].clone()));
        let masked = accumulate_half(&mut model, &half(0), [0.25, 0.5], 0.5, &case["mask"]);
        let rest = accumulate_half(&mut model, &half(1), [0.25, 0.0], 0.5, &case["complement"]);
        let loss = (masked.cross_entropy + rest.cross_entropy + 2.0 * masked.entropy) / 4.0;
        check_close(name, loss, field(case, "loss"));
        check_close(name, model.gradient().norm().unwrap(), field(case, "grad_norm_full"));
    }

    let case = &golden["cap"];
    let (labels, noisy): (Vec<Vec<u32>>, Vec<Vec<u32>>) = (field(case, "labels"), field(case, "noisy"));
    let (t, u): (Vec<f32>, Vec<Vec<f64>>) = (field(case, "t"), field(case, "u"));
    let clean: Vec<u32> = rows.iter().zip(&labels).flat_map(|(row, labels)| [&row[..10], labels].concat()).collect();
    // Nothing below 1 is masked in the prompts.
    let uniform: Vec<f64> = u.iter().flat_map(|u| [&[1.0; 10][..], u].concat()).collect();
    let sft = Rows { ids: clean, row_length: 34, answers: Some(Answers::after(&[10; 2], 34)) };
    let batch = MaskedBatch::diffusion(&sft, &t, &uniform, MASK).unwrap();
    assert_eq!(batch.batch().ids, noisy.concat());
    let predictions = model.predictions(&batch.batch(), 1.0).unwrap();
    let right: Vec<&Prediction> = predictions.iter().filter(|prediction| prediction.is_correct).collect();
    assert_eq!((predictions.len(), right.len()), (field(case, "masked"), field(case, "correct")));
    let losses: Vec<f32> = predictions.iter().map(|prediction| prediction.cross_entropy).collect();
    let certain = right.iter().map(|prediction| f64::from(prediction.entropy)).sum::<f64>() / right.len() as f64;
    let lambda: f64 = field(case, "lam");
    check_close("CAP's cross-entropy", batch.loss(&losses).unwrap(), field(case, "sft"));
    check_close("CAP's entropy", certain, field(case, "conf"));
    let of_entropy = |prediction: &Prediction| {
        if prediction.is_correct { (lambda / right.len() as f64) as f32 } else { 0.0 }
    };
    let weights = predictions.iter().map(of_entropy).collect();
    model.clear_gradient().unwrap();
    model.accumulate(&batch.with_entropy(weights, 1.0).batch()).unwrap();
    check_close("CAP", model.gradient().norm().unwrap(), field(case, "grad_norm_full"));
}
