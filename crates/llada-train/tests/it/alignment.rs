//! Preferences and policy gradients as PyTorch computed them: losses, the weights of cross-entropies, gradient norms.

use std::{fs, path::Path};

use llada_core::{
    distillation::Trajectory,
    policy::{
        Advantage, Completion, LogProbs, Scored, Surrogate, View,
        coupled_grpo::CoupledGrpo,
        diffu_grpo::{DiffuGrpo, Normalisation},
        espo::Espo,
        spg::{NegativeBound, Spg},
        trace_rl::TraceRl,
        wd1::Wd1,
    },
    preference::PreferenceLoss,
};
use llada_model::{Device, Dtype, Prediction, TrainableTransformer};
use llada_train::objective::{Answers, MaskedBatch, Rows};
use safetensors::{Dtype as StoredDtype, SafeTensors, serialize_to_file, tensor::TensorView};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fixture;

pub(crate) const MASK: u32 = 510;

pub(crate) fn golden(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub(crate) fn field<T: DeserializeOwned>(value: &Value, key: &str) -> T {
    serde_json::from_value(value[key].clone()).unwrap_or_else(|error| panic!("{key}: {error}"))
}

#[track_caller]
pub(crate) fn check_close(what: &str, found: f64, expected: f64) {
    let tolerance = 1e-4 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

fn base() -> TrainableTransformer {
    TrainableTransformer::load(&fixture("tiny-llada"), Device::Cpu, Dtype::F32).unwrap()
}

/// tiny-llada with the adapter in its weights.
pub(crate) fn merged(adapter: &str) -> TrainableTransformer {
    let (base, adapter) = (fixture("tiny-llada"), fixture("lora").join(adapter));
    let config: Value = serde_json::from_slice(&fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
    let adapter = fs::read(adapter.join("adapter_model.safetensors")).unwrap();
    let adapter = SafeTensors::deserialize(&adapter).unwrap();
    let shards = [1, 2].map(|shard| fs::read(base.join(format!("model-0000{shard}-of-00002.safetensors"))).unwrap());
    let weights = shards.iter().flat_map(|shard| SafeTensors::deserialize(shard).unwrap().tensors());
    let folder = tempfile::tempdir().unwrap();
    fs::copy(base.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut tensors = Vec::new();
    for (name, view) in weights {
        let mut values = floats(view.data());
        let module = name.trim_end_matches(".weight");
        if let Ok(a) = adapter.tensor(&format!("base_model.model.{module}.lora_A.weight")) {
            let b = adapter.tensor(&format!("base_model.model.{module}.lora_B.weight")).unwrap();
            let (rank, inputs) = (a.shape()[0], a.shape()[1]);
            let of_module = |key: &str, default: &str| {
                let patterns = config[key].as_object().unwrap();
                // The keys are suffixes here, with an escaped dot.
                let found = patterns.iter().find(|(key, _)| module.ends_with(&key.replace('\\', "")));
                found.map_or_else(|| field::<f64>(&config, default), |(_, value)| value.as_f64().unwrap())
            };
            let alpha = of_module("alpha_pattern", "lora_alpha");
            assert_eq!(rank as f64, of_module("rank_pattern", "r"));
            let divisor = if config["use_rslora"] == true { (rank as f64).sqrt() } else { rank as f64 };
            let (a, b) = (floats(a.data()), floats(b.data()));
            for (i, value) in values.iter_mut().enumerate() {
                let (row, column) = (i / inputs, i % inputs);
                let product: f64 =
                    (0..rank).map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * inputs + column])).sum();
                *value = (f64::from(*value) + alpha / divisor * product) as f32;
            }
        }
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        tensors.push((name, view.shape().to_vec(), bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(StoredDtype::F32, shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    TrainableTransformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn log_probs(model: &mut TrainableTransformer, row: &[u32], views: &[View]) -> LogProbs {
    let mut all = Vec::new();
    for view in views {
        let batch = MaskedBatch::of_views([(row, std::slice::from_ref(view))]);
        let losses = model.cross_entropy(&batch.batch()).unwrap();
        all.push(losses.into_iter().map(|loss| -f64::from(loss)).collect());
    }
    all
}

/// The norm of the gradient of the cross-entropies of `rows`' views with these weights.
fn gradient_norm(model: &mut TrainableTransformer, rows: &[(&[u32], &[View])], weights: &[LogProbs]) -> f64 {
    model.clear_gradient().unwrap();
    for (row, weights) in rows.iter().zip(weights) {
        let weights = weights.iter().flatten().map(|&weight| weight as f32).collect();
        model.accumulate(&MaskedBatch::of_views([*row]).with_weights(weights).batch()).unwrap();
    }
    model.gradient().norm().unwrap()
}

/// The six completions of rl.json with the views of a method, and what three models say of them.
struct Group {
    completions: Vec<Completion>,
    views: Vec<Vec<View>>,
    now: Vec<LogProbs>,
    old: Vec<LogProbs>,
    reference: Vec<LogProbs>,
}

impl Group {
    fn new(
        golden: &Value,
        models: &mut [TrainableTransformer; 3],
        views: impl Fn(usize, &Completion) -> Vec<View>,
    ) -> Self {
        let prompt: Vec<u32> = field(golden, "prompt");
        let ids: Vec<Vec<u32>> = field(golden, "completions");
        let lengths: Vec<usize> = field(golden, "completion_lengths");
        let completion = |(ids, length): (Vec<u32>, usize)| {
            let is_ended = ids[length - 1] == 508;
            Completion { ids: [prompt.as_slice(), &ids].concat(), prompt_length: prompt.len(), length, is_ended }
        };
        let completions: Vec<Completion> = ids.into_iter().zip(lengths).map(completion).collect();
        let views: Vec<Vec<View>> =
            completions.iter().enumerate().map(|(i, completion)| views(i, completion)).collect();
        let [now, old, reference] = models.each_mut().map(|model| {
            completions.iter().zip(&views).map(|(completion, views)| log_probs(model, &completion.ids, views)).collect()
        });
        Self { completions, views, now, old, reference }
    }

    fn scored<'a>(&'a self, advantages: &[f64], with_reference: bool) -> Vec<Scored<'a>> {
        let mut batch = Vec::new();
        for (i, &advantage) in advantages.iter().enumerate() {
            batch.push(Scored {
                completion: &self.completions[i],
                views: &self.views[i],
                advantage,
                log_probs: &self.now[i],
                old: &self.old[i],
                reference: with_reference.then_some(&self.reference[i]),
            });
        }
        batch
    }

    /// Compares with a golden case: the loss, the weights by (view, completion, token), and the norm of the gradient.
    fn check(
        &self,
        name: &str,
        case: &Value,
        surrogate: &Surrogate,
        policy: &mut TrainableTransformer,
        weight: impl Fn(usize, usize, usize) -> f64,
    ) {
        check_close(name, surrogate.loss, field(case, "loss"));
        for (i, (views, weights)) in self.views.iter().zip(&surrogate.weights).enumerate() {
            for (j, (view, weights)) in views.iter().zip(weights).enumerate() {
                for (&position, &found) in view.scored.iter().zip(weights) {
                    let token = position - self.completions[i].prompt_length;
                    check_close(&format!("{name}: weight {i} {j} {token}"), found, weight(j, i, token));
                }
            }
        }
        let rows: Vec<(&[u32], &[View])> = self
            .completions
            .iter()
            .zip(&self.views)
            .map(|(completion, views)| (completion.ids.as_slice(), views.as_slice()))
            .collect();
        check_close(name, gradient_norm(policy, &rows, &surrogate.weights), field(case, "grad_norm_full"));
    }
}

/// The view of a noisy row: all masks that count are scored.
fn view_of(completion: &Completion, noisy: &[u32]) -> View {
    let counting = completion.prompt_length..completion.prompt_length + completion.length;
    View { ids: noisy.to_vec(), scored: counting.filter(|&position| noisy[position] == MASK).collect() }
}

/// The view of a completion that is masked where `masked`, and scored there too.
fn masked_view(completion: &Completion, masked: impl Fn(usize) -> bool) -> View {
    let mut noisy = completion.ids.clone();
    for token in (0..completion.canvas()).filter(|&token| masked(token)) {
        noisy[completion.prompt_length + token] = MASK;
    }
    view_of(completion, &noisy)
}

#[test]
fn golden_rl() {
    let golden = golden("rl.json");
    let mut models = [merged("adapter_all"), merged("adapter_attn"), base()];
    let rewards: Vec<f64> = field(&golden, "rewards");
    for (name, advantage) in [
        ("centered", Advantage::Centered),
        ("centered_over_std_plus_1e-4", Advantage::Standardized),
        ("leave_one_out", Advantage::LeaveOneOut),
        ("z_score_population", Advantage::ZScore),
    ] {
        let expected: Vec<f64> = field(&golden["advantages"], name);
        for (found, expected) in advantage.of(&rewards).into_iter().zip(expected) {
            check_close(name, found, expected);
        }
    }

    let case = &golden["diffu_grpo"];
    let noisy: Vec<Vec<u32>> = field(case, "noisy");
    let group = Group::new(&golden, &mut models, |i, completion| vec![view_of(completion, &noisy[i])]);
    for case in case["cases"].as_array().unwrap() {
        let normalisation = match field::<String>(case, "normalisation").as_str() {
            "tokens" => Normalisation::Tokens,
            "sequences" => Normalisation::Sequences,
            _ => Normalisation::Constant,
        };
        let method = DiffuGrpo {
            p_mask_prompt: 0.15,
            epsilon: field(case, "epsilon"),
            beta: field(case, "beta"),
            normalisation,
        };
        let advantages: Vec<f64> = field(case, "advantages");
        let surrogate = method.surrogate(&group.scored(&advantages, method.beta > 0.0)).unwrap();
        let weights: Vec<Vec<Vec<f64>>> = field(case, "weights");
        group.check(&field::<String>(case, "name"), case, &surrogate, &mut models[0], |j, i, token| {
            weights[j][i][token]
        });
    }
    let advantages = Advantage::Centered.of(&rewards);
    for (case, mean) in golden["wd1"]["cases"].as_array().unwrap().iter().zip([false, true]) {
        let method = Wd1 { psi: field(case, "psi"), mean, ..Wd1::default() };
        let surrogate = method.surrogate(&group.scored(&advantages, false)).unwrap();
        let weights: Vec<Vec<Vec<f64>>> = field(case, "weights");
        group.check("wd1", case, &surrogate, &mut models[0], |j, i, token| weights[j][i][token]);
    }

    let case = &golden["coupled_grpo"];
    let (u, ratio): (Vec<Vec<f64>>, f64) = (field(case, "u"), field(case, "mask_ratio"));
    let group = Group::new(&golden, &mut models, |i, completion| {
        let first = |token: usize| u[i][token] < ratio;
        vec![
            masked_view(completion, |_| true),
            masked_view(completion, first),
            masked_view(completion, |token| !first(token)),
        ]
    });
    let method = CoupledGrpo { epsilon: field(case, "epsilon"), beta: field(case, "beta"), ..CoupledGrpo::default() };
    let advantages: Vec<f64> = field(case, "advantages");
    let surrogate = method.surrogate(&group.scored(&advantages, true), ratio).unwrap();
    let weights: Vec<Vec<Vec<f64>>> = field(case, "weights");
    group.check("coupled GRPO", case, &surrogate, &mut models[0], |j, i, token| weights[j][i][token]);

    let spg = &golden["spg"];
    let samples: Vec<Vec<Value>> = field(spg, "samples");
    let group = Group::new(&golden, &mut models, |i, completion| {
        let view = |sample: &Value| {
            let mut noisy = completion.ids.clone();
            for position in field::<Vec<usize>>(sample, "masked") {
                noisy[position] = MASK;
            }
            view_of(completion, &noisy)
        };
        samples[i].iter().map(view).collect()
    });
    for case in spg["cases"].as_array().unwrap() {
        let kind = field::<String>(case, "kind");
        let logp_estimation = match kind.as_str() {
            "mix" => NegativeBound::Mix,
            "eubo" => NegativeBound::Eubo,
            "elbo" => NegativeBound::Elbo,
            _ => NegativeBound::Zero,
        };
        let (eubo_beta, mix_weight) = (field(case, "eubo_beta"), field(case, "mix_weight"));
        let method = Spg { logp_estimation, eubo_beta, mix_weight, ..Spg::default() };
        let surrogate = method.surrogate(&group.scored(&Advantage::Centered.of(&rewards), false)).unwrap();
        let weights: Vec<Vec<Vec<Vec<f64>>>> = field(case, "weights");
        group.check(&kind, case, &surrogate, &mut models[0], |j, i, token| weights[0][i][j][token]);
    }

    let case = &golden["trace_rl"];
    let method = TraceRl {
        shrink: field(case, "shrink"),
        epsilon: field(case, "epsilon"),
        beta: field(case, "beta"),
        post_num: field(case, "post_num"),
    };
    let traces: Vec<Value> = field(case, "traces");
    let rows: Vec<usize> = field(case, "row_of");
    let group = Group::new(&golden, &mut models, |i, completion| {
        method.views(completion, &field::<Vec<usize>>(&traces[i], "step_map"), MASK).unwrap()
    });
    let noisy: Vec<Vec<u32>> = field(case, "row_noisy");
    let found: Vec<&Vec<u32>> = group.views.iter().flatten().map(|view| &view.ids).collect();
    assert_eq!(found, noisy.iter().collect::<Vec<_>>());
    let advantages: Vec<f64> = field(case, "advantages");
    let surrogate = method.surrogate(&group.scored(&advantages, false)).unwrap();
    let weights: Vec<Vec<Vec<f64>>> = field(case, "weights");
    group.check("TraceRL", case, &surrogate, &mut models[0], |j, i, token| {
        let first = rows.iter().position(|&row| row == i).unwrap();
        weights[0][first + j][token]
    });

    let case = &golden["espo"];
    let (masks, counts): (Vec<Vec<u8>>, Vec<usize>) = (field(case, "mask"), field(case, "counts"));
    assert_eq!(Espo::counts(field(case, "k"), 6, 16), counts);
    let method = Espo { epsilon: field(case, "epsilon"), beta: field(case, "beta") };
    let group = Group::new(&golden, &mut models, |i, completion| {
        let masked: Vec<usize> = (0..16).filter(|&token| masks[i][token] == 1).collect();
        method.views(completion, &masked, MASK).to_vec()
    });
    let advantages: Vec<f64> = field(case, "advantages");
    let surrogate = method.surrogate(&group.scored(&advantages, true), &counts).unwrap();
    let weights: Vec<Vec<Vec<f64>>> = field(case, "weights");
    group.check("ESPO", case, &surrogate, &mut models[0], |j, i, token| weights[j][i][token]);
}

#[test]
fn golden_vrpo() {
    let golden = golden("vrpo.json");
    let (mut policy, mut reference) = (merged("adapter_all"), base());
    let pairs = golden["pairs"].as_array().unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let (form, beta): (String, f64) = (field(case, "form"), field(case, "beta"));
        let name = format!("{form} {} {beta}", case["loss"]);
        let loss = match field::<String>(case, "loss").as_str() {
            "sigmoid" => PreferenceLoss::Sigmoid { label_smoothing: 0.0 },
            "sigmoid_label_smoothing_0.1" => PreferenceLoss::Sigmoid { label_smoothing: 0.1 },
            "hinge" => PreferenceLoss::Hinge,
            _ => PreferenceLoss::Ipo,
        };
        let (mut value, mut rows, mut weights) = (0.0, Vec::new(), Vec::new());
        for (pair, expected) in pairs.iter().zip(field::<Vec<f64>>(case, "s")) {
            let (mut s, mut sides) = (0.0, Vec::new());
            for (side, sign) in [("chosen", 1.0), ("rejected", -1.0)] {
                let (prompt, answer): (Vec<u32>, Vec<u32>) = (field(pair, "prompt"), field(pair, side));
                let row = [prompt.as_slice(), &answer].concat();
                let completion =
                    Completion { ids: row.clone(), prompt_length: prompt.len(), length: answer.len(), is_ended: true };
                let (mut views, mut shares) = (Vec::new(), Vec::new());
                let samples: Vec<Value> = field(pair, &format!("samples_{side}"));
                for sample in &samples {
                    let mask: Vec<u8> = field(sample, &format!("mask_{form}"));
                    views.push(masked_view(&completion, |token| mask[token] == 1));
                    let ratio = if form == "a" {
                        field::<f64>(sample, "t")
                    } else {
                        field::<f64>(sample, "l") / answer.len() as f64
                    };
                    shares.push(1.0 / (ratio * samples.len() as f64));
                }
                let mut bounds = [0.0; 2];
                for (bound, model) in bounds.iter_mut().zip([&mut policy, &mut reference]) {
                    let log_probs = log_probs(model, &row, &views);
                    *bound = log_probs.iter().zip(&shares).map(|(view, share)| share * view.iter().sum::<f64>()).sum();
                }
                s += beta * sign * (bounds[0] - bounds[1]);
                sides.push((row, views, shares, sign));
            }
            check_close(&name, s, expected);
            value += loss.value(s, beta) / pairs.len() as f64;
            for (row, views, shares, sign) in sides {
                let weight = -loss.slope(s, beta) * beta * sign / pairs.len() as f64;
                weights.push(
                    views.iter().zip(&shares).map(|(view, share)| vec![weight * share; view.scored.len()]).collect(),
                );
                rows.push((row, views));
            }
        }
        check_close(&name, value, field(case, "value"));
        if let Some(expected) = case["grad_norm_full"].as_f64() {
            let rows: Vec<(&[u32], &[View])> =
                rows.iter().map(|(row, views)| (row.as_slice(), views.as_slice())).collect();
            check_close(&name, gradient_norm(&mut policy, &rows, &weights), expected);
        }
    }
    let two_pass = &golden["two_pass"];
    let (s, slopes): (Vec<f64>, Vec<f64>) = (field(two_pass, "s"), field(two_pass, "weight_of_ds"));
    for (s, expected) in s.into_iter().zip(slopes) {
        check_close("slope", PreferenceLoss::Sigmoid { label_smoothing: 0.0 }.slope(s, 0.2) / 3.0, expected);
    }
}

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
