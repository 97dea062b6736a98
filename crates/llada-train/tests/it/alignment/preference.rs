//! Preferences: the values of vrpo.json.

use llada_core::{policy::Completion, preference::PreferenceLoss};
use serde_json::Value;

use super::{base, check_close, field, golden, gradient_norm, log_probs, masked_view, merged};

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
            let rows: Vec<(&[u32], &[llada_core::policy::View])> =
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
