//! Policy gradients: the values of rl.json.

use llada_core::policy::{
    Advantage, Completion, LogProbs, Scored, Surrogate, View,
    coupled_grpo::CoupledGrpo,
    diffu_grpo::{DiffuGrpo, TokenNormalisation},
    espo::Espo,
    spg::{NegativeBound, Spg},
    trace_rl::TraceRl,
    wd1::Wd1,
};
use llada_model::TrainableTransformer;
use serde_json::Value;

use super::{MASK, base, check_close, field, golden, gradient_norm, log_probs, masked_view, merged, view_of};

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
            "tokens" => TokenNormalisation::Token,
            "sequences" => TokenNormalisation::Sequence,
            _ => TokenNormalisation::Constant,
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
