//! Policy gradients: every method's weights are the derivatives of its loss, and its views are what it says.

use llada_core::policy::{
    Completion, Draw, DrawKey, LogProbs, Method, Rollout, Scored, coupled_grpo::CoupledGrpo, diffu_grpo::DiffuGrpo,
    diffu_grpo::TokenNormalisation, espo::Espo, spg::NegativeBound, spg::Spg, trace_rl::TraceRl, wd1::Wd1,
};
use llada_core::rng::{Domain, Noise};

const MASK: u32 = 99;

fn methods() -> Vec<Method> {
    let spg = Spg { block_length: 3, ..Spg::default() };
    vec![
        Method::Espo(Espo::default()),
        Method::DiffuGrpo(DiffuGrpo::default()),
        Method::DiffuGrpo(DiffuGrpo { normalisation: TokenNormalisation::Sequence, ..DiffuGrpo::default() }),
        Method::DiffuGrpo(DiffuGrpo { normalisation: TokenNormalisation::Constant, beta: 0.0, ..DiffuGrpo::default() }),
        Method::Wd1(Wd1::default()),
        Method::Wd1(Wd1 { mean: true, psi: 2.0, ..Wd1::default() }),
        Method::CoupledGrpo(CoupledGrpo::default()),
        Method::Spg(spg),
        Method::Spg(Spg { logp_estimation: NegativeBound::Eubo, num_t: 3, ..spg }),
        Method::Spg(Spg { logp_estimation: NegativeBound::Elbo, ..spg }),
        Method::Spg(Spg { logp_estimation: NegativeBound::Zero, ..spg }),
        Method::TraceRl(TraceRl { shrink: 2, ..TraceRl::default() }),
    ]
}

/// Two groups of two completions of 8 tokens, of which 8, 5, 1 and 7 count.
fn rollouts() -> Vec<Rollout> {
    let mut rollouts = Vec::new();
    for (i, length) in [8, 5, 1, 7].into_iter().enumerate() {
        let ids = (0..12).map(|token| token + i as u32).collect();
        let step_map = (0..8).map(|token| (token * 3 + i) % 5).collect();
        rollouts
            .push(Rollout { completion: Completion { ids, prompt_length: 4, length, is_ended: length < 8 }, step_map });
    }
    rollouts
}

/// Log-probabilities of all scored tokens, which differ by `salt`.
fn log_probs(draw: &Draw, salt: u32) -> Vec<LogProbs> {
    let noise = Noise::new(7).domain(Domain::Task);
    let mut all = Vec::new();
    for (i, views) in draw.views.iter().enumerate() {
        let of_view = |(j, view): (usize, &llada_core::policy::View)| {
            let stream = noise.stream(i as u64, j as u32, salt);
            view.scored.iter().map(|&position| 1.2 * stream.at(position as u32).ln() - 0.1).collect()
        };
        all.push(views.iter().enumerate().map(of_view).collect());
    }
    all
}

struct Case {
    method: Method,
    rollouts: Vec<Rollout>,
    draw: Draw,
    advantages: Vec<f64>,
    old: Vec<LogProbs>,
    reference: Vec<LogProbs>,
}

impl Case {
    fn new(method: Method) -> Self {
        let rollouts = rollouts();
        let draw = method.draw(&rollouts, Noise::new(3), DrawKey { sample: 40, iteration: 1 }, MASK).unwrap();
        let advantages = [[1.0, 0.25], [0.0, 2.0]].iter().flat_map(|group| method.advantage().of(group)).collect();
        let (old, reference) = (log_probs(&draw, 1), log_probs(&draw, 2));
        Self { method, rollouts, draw, advantages, old, reference }
    }

    fn surrogate(&self, log_probs: &[LogProbs]) -> llada_core::policy::Surrogate {
        let mut batch = Vec::new();
        for (i, (rollout, log_probs)) in self.rollouts.iter().zip(log_probs).enumerate() {
            batch.push(Scored {
                completion: &rollout.completion,
                views: &self.draw.views[i],
                advantage: self.advantages[i],
                log_probs,
                old: &self.old[i],
                reference: self.method.has_reference().then_some(&self.reference[i]),
            });
        }
        self.method.surrogate(&batch, &self.draw, 2).unwrap()
    }
}

#[test]
fn weights_are_the_derivatives_of_the_loss() {
    for method in methods() {
        let case = Case::new(method);
        let now = log_probs(&case.draw, 3);
        let surrogate = case.surrogate(&now);
        let (h, mut nonzero) = (1e-6, 0);
        for (i, views) in now.iter().enumerate() {
            for (j, view) in views.iter().enumerate() {
                for k in 0..view.len() {
                    let moved = |by: f64| {
                        let mut moved = now.clone();
                        moved[i][j][k] += by;
                        case.surrogate(&moved).loss
                    };
                    let quotient = -(moved(h) - moved(-h)) / (2.0 * h);
                    let weight = surrogate.weights[i][j][k];
                    assert!((quotient - weight).abs() < 1e-6, "{method:?}: {i} {j} {k}: {quotient} {weight}");
                    nonzero += usize::from(weight != 0.0);
                }
            }
        }
        assert!(nonzero > 0, "{method:?}");
    }
}

#[test]
fn scored_tokens_are_masked_and_of_the_completion() {
    for method in methods() {
        let case = Case::new(method);
        for (rollout, views) in case.rollouts.iter().zip(&case.draw.views) {
            let completion = &rollout.completion;
            let all = matches!(method, Method::Espo(_));
            let mut seen = vec![0; if all { completion.canvas() } else { completion.length }];
            for view in views {
                for (position, (&id, &clean)) in view.ids.iter().zip(&completion.ids).enumerate() {
                    assert!(id == clean || id == MASK, "{method:?}");
                    assert!(view.scored.contains(&position) <= (id == MASK), "{method:?}");
                }
                view.scored.iter().for_each(|position| seen[position - completion.prompt_length] += 1);
            }
            let expected = match method {
                Method::CoupledGrpo(_) => 2,
                Method::Spg(_) => continue,
                Method::TraceRl(_) if completion.is_ended => {
                    assert_eq!(seen.pop(), Some(0), "the end-of-text is scored");
                    1
                }
                _ => 1,
            };
            assert!(seen.iter().all(|&count| count == expected), "{method:?}: {seen:?}");
        }
    }
}

#[test]
fn masks_are_a_function_of_their_key() {
    for method in methods() {
        let draw =
            |sample, iteration| method.draw(&rollouts(), Noise::new(3), DrawKey { sample, iteration }, MASK).unwrap();
        assert_eq!(draw(8, 1), draw(8, 1), "{method:?}");
        if !matches!(method, Method::TraceRl(_)) {
            assert_ne!(draw(8, 1), draw(8, 2), "{method:?}");
            assert_ne!(draw(8, 1), draw(9, 1), "{method:?}");
        }
    }
}

#[test]
fn a_method_is_read_by_the_name_of_its_paper() {
    for (json, expected) in [
        (r#"{"objective": "espo"}"#, Method::Espo(Espo::default())),
        (
            r#"{"objective": "diffu_grpo", "beta": 0.0}"#,
            Method::DiffuGrpo(DiffuGrpo { beta: 0.0, ..DiffuGrpo::default() }),
        ),
        (r#"{"objective": "spg"}"#, Method::Spg(Spg::default())),
    ] {
        assert_eq!(serde_json::from_str::<Method>(json).unwrap(), expected);
    }
    assert!(serde_json::from_str::<Method>(r#"{"objective": "espo", "psi": 1.0}"#).is_err());
}
