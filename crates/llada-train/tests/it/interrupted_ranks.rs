//! Two processes that stop before their first step or within one, or in the middle of streams, and go on bit for bit.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use llada_train::{
    config::{RunConfig, Training},
    metrics,
    run::{Event, Outcome, Run},
};

use crate::{
    aligned::{self, Impatient, SHORT},
    collective::{pair, train_in_two, train_in_two_until},
    mixture,
    run::{bytes, train},
};

fn model(config: &RunConfig) -> Vec<u8> {
    fs::read(config.out.join("model/model.safetensors")).unwrap()
}

#[test]
fn ranks_stop_before_the_first_step_whoever_is_asked_and_go_on() {
    let folder = aligned::workplace();
    for (kind, keys, name) in [
        (Training::Preference, "data = \"pairs.jsonl\"", "reference.jsonl"),
        (
            Training::Distillation,
            "data = \"prompts.jsonl\"\ndistillation = { gen_length = 8, block_length = 4 }",
            "trajectories.jsonl",
        ),
    ] {
        let [whole, parts] =
            ["whole", "parts"].map(|out| aligned::config(folder.path(), kind, &format!("{out}-{kind:?}"), keys));
        train_in_two(&whole, kind, 0);
        // Of the likelihoods some are there by then. The prompts are answered together, and this is within.
        let heard = Arc::new(AtomicUsize::new(0));
        let is_due = move |event: &Event<'_>| {
            matches!(event, Event::Prepared { .. }) && heard.fetch_add(1, Ordering::Relaxed) == 2
        };
        for (outcome, steps, losses) in train_in_two_until(&parts, kind, is_due) {
            assert_eq!((outcome, steps, losses), (Outcome::Stopped(parts.out.clone()), 0, Vec::new()), "{kind:?}");
        }
        let read = |config: &RunConfig| fs::read_to_string(config.out.join(name)).unwrap();
        assert!(read(&parts).len() < read(&whole).len(), "{kind:?}");
        train_in_two(&parts, kind, 0);
        assert_eq!(read(&whole), read(&parts));
        assert!(model(&whole) == model(&parts), "{kind:?}");
    }
}

#[test]
fn ranks_stop_within_a_set_of_answers_whoever_is_asked_and_go_on() {
    let folder = aligned::workplace();
    let kind = Training::Rl;
    let keys = format!("rl = {{ objective = \"espo\", {SHORT} }}");
    let [whole, parts] = ["whole", "parts"].map(|out| aligned::config(folder.path(), kind, out, &keys));
    train_in_two(&whole, kind, 0);
    let ranks = pair().map(|process| {
        let config = parts.clone();
        thread::spawn(move || {
            let (asked, not_asked) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
            let is_asked = process.rank == 1;
            // Both hear of their own prompts, two answers of one in each set.
            let mut run = Run::rl_with(config, Impatient::new(2, asked.clone()), Box::new(process)).unwrap();
            run.train(if is_asked { &asked } else { &not_asked }, |_| ()).unwrap()
        })
    });
    for rank in ranks {
        assert_eq!(rank.join().unwrap(), Outcome::Stopped(parts.out.join("checkpoints/step-00000003")));
    }
    train_in_two(&parts, kind, 0);
    assert!(model(&whole) == model(&parts));
}

#[test]
fn ranks_go_on_in_the_middle_of_files_and_prepared_data() {
    let folder = mixture::workplace();
    let kind = Training::Sft;
    for (case, data) in
        [vec![("a.jsonl", 1.0)], vec![("b.jsonl", 0.5), ("s1", 3.0), ("a.jsonl", 1.0)]].into_iter().enumerate()
    {
        let keys = "optimizer.eps = 1e-3";
        let [one, whole, parts] = ["one", "whole", "parts"]
            .map(|out| mixture::config(folder.path(), kind, &format!("{out}-{case}"), &data, keys));
        train(&one, kind, 0).unwrap();
        train_in_two(&whole, kind, 0);
        for stop_at in [5, 0] {
            train_in_two(&parts, kind, stop_at);
        }
        assert!(bytes(&whole) == bytes(&parts), "{data:?}");
        let lines = |config: &RunConfig| metrics::read(&config.out.join("metrics.jsonl")).unwrap();
        assert_eq!((lines(&one).len(), lines(&parts).len()), (12, 12));
        for (one, two) in lines(&one).iter().zip(lines(&parts)) {
            assert!((one.loss - two.loss).abs() <= 1e-5 * one.loss, "{data:?}: {two:?}, not {one:?}");
            assert_eq!(one.tokens, two.tokens, "{data:?}");
        }
    }
}
