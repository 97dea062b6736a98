//! Runs that go on with an adapter that there is, of another run or of peft.

use std::{f64::consts::LN_2, fs, path::Path};

use llada_model::Adapter;
use llada_train::{
    TrainError,
    config::{RunConfig, Training},
    metrics,
    run::{Outcome, Run},
};
use serde_json::Value;
use toml::Table;

use crate::{
    fixture,
    run::{bytes, config, train, workplace},
    told,
};

fn peft() -> String {
    format!("init_adapter = {:?}", fixture("lora").join("adapter_all"))
}

/// The settings of a run of fine-tuning with these keys.
fn settings(folder: &Path, keys: &str) -> Result<RunConfig, TrainError> {
    let text = format!("out = {:?}\ndata = \"d\"\ninit = {:?}\nsteps = 1", folder.join("out"), fixture("tiny-llada"));
    RunConfig::from_tables(Training::Sft, [text.parse::<Table>().unwrap(), keys.parse::<Table>().unwrap()])
}

fn tensors(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("adapter_model.safetensors")).unwrap()
}

#[test]
fn a_run_begins_with_the_numbers_and_settings_of_the_adapter() {
    let folder = workplace();
    let kind = Training::Sft;
    let first =
        config(folder.path(), kind, "first", "steps = 4\nschedule.lr = 0.01\nadapter = { r = 4, lora_alpha = 8 }");
    train(&first, kind, 0).unwrap();
    let adapter = first.out.join("adapter");
    // The learning rate is too small to change a bit.
    let keys = format!("steps = 1\nschedule = {{ lr = 1e-40, min_lr = 1e-40 }}\ninit_adapter = {adapter:?}");
    let second = config(folder.path(), kind, "second", &format!("{keys}\nadapter.lora_dropout = 0.25"));
    let (_, outcome) = train(&second, kind, 0).unwrap();
    assert_eq!(outcome, Outcome::Finished(second.out.join("adapter")));
    assert!(tensors(&adapter) == tensors(&second.out.join("adapter")));
    let [before, after] =
        [&first, &second].map(|run| Adapter::open(&run.out.join("adapter")).unwrap().config().clone());
    assert_eq!((before.r, before.lora_dropout, after.lora_dropout), (4, 0.0, 0.25));
    assert_eq!(before, llada_model::LoraConfig { lora_dropout: 0.0, ..after });
    // The loss goes on from where it was, and not from the base's.
    let loss = |run: &RunConfig| metrics::read(&run.out.join("metrics.jsonl")).unwrap()[0].loss;
    let plain = config(folder.path(), kind, "plain", &keys);
    train(&plain, kind, 0).unwrap();
    assert_ne!(loss(&plain), loss(&first), "the same batch");
}

#[test]
fn a_resumed_run_with_an_adapter_of_peft_equals_an_uninterrupted_one() {
    let folder = workplace();
    let kind = Training::Sft;
    let keys = format!("steps = 6\nbase_dtype = \"int8\"\n{}\nadapter.lora_dropout = 0.1", peft());
    let [whole, parts] = ["whole", "parts"].map(|out| config(folder.path(), kind, out, &keys));
    train(&whole, kind, 0).unwrap();
    train(&parts, kind, 3).unwrap();
    train(&parts, kind, 0).unwrap();
    assert!(bytes(&whole) == bytes(&parts));
    assert!(tensors(&whole.out.join("adapter")) == tensors(&parts.out.join("adapter")));
}

#[test]
fn settings_that_differ_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told_of = |keys: &str| settings(folder.path(), &format!("{}\n{keys}", peft())).map_err(|error| told(&error));
    let stored: Value =
        serde_json::from_slice(&fs::read(fixture("lora/adapter_all/adapter_config.json")).unwrap()).unwrap();
    let (r, alpha) = (stored["r"].as_u64().unwrap(), stored["lora_alpha"].as_f64().unwrap());
    let agreed = told_of(&format!("adapter = {{ r = {r}, lora_alpha = {alpha:?}, lora_dropout = 0.5 }}")).unwrap();
    assert_eq!(agreed.adapter.unwrap().lora_dropout, 0.5);
    for (keys, message) in [
        ("adapter.r = 3", format!("adapter.r is 3, and {r} in ")),
        ("adapter.lora_alpha = 5", format!("adapter.lora_alpha is 5.0, and {alpha:?} in ")),
        ("adapter.target_modules = [\"q_proj\"]", "adapter.target_modules is [\"q_proj\"], and ".to_owned()),
        ("adapter.modules_to_save = [\"ln_f\"]", "adapter.modules_to_save is [\"ln_f\"], and ".to_owned()),
        ("adapter.rank_pattern = { q_proj = 2 }", "adapter.rank_pattern is {\"q_proj\":2}, and ".to_owned()),
    ] {
        let error = told_of(keys).unwrap_err();
        assert!(error.contains(&message), "{error}");
        assert!(
            error.ends_with("\nhint: leave it out: an adapter keeps its settings, but for lora_dropout"),
            "{error}"
        );
    }
    assert!(told_of("adapter.rank = 3").unwrap_err().contains("unknown field `rank`"));
    let keys = format!("out = \"o\"\nsteps = 1\n{}", peft());
    let error = told(&RunConfig::from_tables(Training::Sft, [keys.parse().unwrap()]).unwrap_err());
    assert!(error.starts_with("init_adapter is given\nhint: give init too"), "{error}");
    let error = settings(folder.path(), "init_adapter = \"nowhere\"").unwrap_err().to_string();
    assert!(error.contains("nowhere/adapter_config.json"), "{error}");
}

#[test]
fn an_adapter_of_another_model_is_refused_by_what_does_not_fit() {
    let folder = workplace();
    let config = config(folder.path(), Training::Sft, "other", &format!("steps = 1\n{}", peft()));
    for (model, message) in [("tiny-dream", "target_modules"), ("tiny-llada-gqa-bf16", "lora_")] {
        let config = RunConfig { init: Some(fixture(model)), ..config.clone() };
        let error = Run::open(config, Training::Sft).unwrap_err().to_string();
        assert!(error.contains(message), "{model}: {error}");
    }
}

/// The start of the run, and not the model without its adapter, is what a run is compared with.
#[test]
fn the_reference_is_the_adapter_at_the_start() {
    let folder = crate::aligned::workplace();
    let pairs = crate::aligned::config(
        folder.path(),
        Training::Preference,
        "pairs",
        &format!("data = \"pairs.jsonl\"\n{}", peft()),
    );
    train(&pairs, Training::Preference, 1).unwrap();
    let step = &metrics::read(&pairs.out.join("metrics.jsonl")).unwrap()[0];
    assert!((step.loss - LN_2).abs() < 1e-15, "{}", step.loss);

    let keys = format!("{}\nrl = {{ objective = \"espo\", beta = 1000.0, {} }}", peft(), crate::aligned::SHORT);
    let rl = crate::aligned::config(folder.path(), Training::Rl, "rl", &keys);
    crate::aligned::train(&rl, Training::Rl, |_| false);
    let steps = metrics::read(&rl.out.join("metrics.jsonl")).unwrap();
    assert!(steps[0].loss.abs() < 1e-9 && steps[0].grad_norm > 0.0, "{steps:?}");
    assert!(steps[1].loss > 1e-6, "{steps:?}");
}
