//! A filter that has learned from a predictor's own answers.

use std::ops::ControlFlow;

use llada_infer::{
    InferError, Request, SamplerConfig,
    learn2pd::{Example, Filter, Fit, examples},
};

use crate::{engine, request};

const LENGTH: usize = 6;

fn requests() -> Vec<Request> {
    let config = SamplerConfig { gen_length: LENGTH - 1, block_length: Some(LENGTH - 1), ..Default::default() };
    (0..4).map(|token| request(&[token], config.clone())).collect()
}

/// The steps of the predictor of a seed.
fn steps(seed: u64) -> Vec<Example> {
    let answer = |request| examples(&mut engine(LENGTH, seed), &request, |_| ControlFlow::Continue(())).unwrap();
    requests().into_iter().flat_map(answer).collect()
}

/// The filter that is fitted to 40 predictors, and how many steps that took.
fn fitted(epochs: usize) -> (Filter, usize) {
    let steps: Vec<_> = (0..40).flat_map(steps).collect();
    let fit = Fit { epochs, lr: 1e-2, ..Fit::default() };
    (fit.filter(LENGTH - 1, &steps).unwrap(), steps.len())
}

/// An oracle commits what is final, so it takes at most a step a token, and fewer where several are final at once.
#[test]
fn an_oracle_needs_fewer_steps() {
    let (_, steps) = fitted(0);
    let tokens = 40 * 4 * (LENGTH - 1);
    assert!((40 * 4..tokens * 3 / 4).contains(&steps), "{steps} steps of {tokens} tokens");
}

/// The filter commits with more certainty than chance would, and its answers take fewer forwards than a token each.
#[test]
fn a_filter_tells_what_is_final() {
    let (mut filter, _) = fitted(60);
    let other: Vec<_> = (100..120).flat_map(steps).collect();
    filter.threshold = 0.6;
    let quality = filter.quality(&other);
    let [share, right] = [(quality.is_final, quality.places), (quality.right, quality.committed)]
        .map(|(of, all)| of as f64 / all as f64);
    assert!(quality.committed > quality.places / 20, "{quality:?}");
    assert!(right > share + 0.05, "{quality:?}");
    let nfe = |seed| {
        let requests: Vec<_> = requests().into_iter().map(|request| request.with_decoder(filter.clone())).collect();
        let answers = engine(LENGTH, seed).generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
        answers.iter().map(|answer| answer.nfe).sum::<usize>()
    };
    let nfe: usize = (100..120).map(nfe).sum();
    assert!(nfe < 20 * 4 * (LENGTH - 1) * 19 / 20, "{nfe}");
}

#[test]
fn the_same_examples_give_the_same_filter() {
    let filter = fitted(2).0;
    assert_eq!(filter, fitted(2).0);
    let text = serde_json::to_string(&filter).unwrap();
    assert_eq!(Filter::from_json(&text).unwrap(), filter);
    assert_eq!(filter.parameters(), 60);
}

/// The filter of a block of five decides about the last five masks of a longer block, and the others come one by one.
#[test]
fn a_longer_block_ends() {
    let (filter, _) = fitted(2);
    let config = SamplerConfig { gen_length: 7, ..Default::default() };
    let answer = engine(8, 1).generate(&request(&[1], config).with_decoder(filter)).unwrap();
    assert_eq!(answer.output.len(), 7);
}

#[test]
fn what_is_no_filter_is_refused() {
    let text = serde_json::to_string(&fitted(0).0).unwrap();
    let mut infinite: serde_json::Value = serde_json::from_str(&text).unwrap();
    infinite["output"]["bias"][1] = 1e39.into();
    let infinite = infinite.to_string();
    for text in [
        "[]".to_owned(),
        text.replace("\"block_length\":5", "\"block_length\":4"),
        text.replace("\"block_length\":5", "\"block_length\":18446744073709551615"),
        text.replace("\"block_length\":5", "\"block_length\":0"),
        text.replace("\"bias\":[", "\"bias\":[0.5,"),
        text.replace("\"threshold\":0.96", "\"threshold\":0.96,\"tau\":1"),
        infinite,
    ] {
        let error = Filter::from_json(&text).unwrap_err();
        assert!(matches!(error, InferError::Filter(_)), "{error}");
    }
    assert!(Fit::default().filter(5, &[]).is_err());
    assert_eq!(Fit::default().filter(4, &steps(0)).unwrap_err().to_string(), "example has length 5, expected 4");
    let [mut low, high] = [fitted(0).0, fitted(0).0];
    low.threshold = f32::NAN;
    let run = |filter: Filter| engine(LENGTH, 0).generate(&requests()[0].clone().with_decoder(filter));
    assert!(run(low).is_err());
    assert!(run(high).is_ok());
}
