//! Runs that stop, are damaged, overflow, and go on.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use llada_infer::{Engine, Request, SamplerConfig, SpecialTokens};
use llada_model::{Device, Dtype, Tokenizer, Transformer};
use llada_train::{
    TrainError,
    checkpoint::{merge, newest},
    config::{RunConfig, Training},
    data::{DatasetKind, DatasetWriter},
    metrics,
    run::{Event, Outcome, Run},
};
use tempfile::TempDir;
use toml::Table;

use crate::{fixture, told};

/// A folder with a small dataset of each kind.
pub(crate) fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut pretrain = DatasetWriter::create(&folder.path().join("pretrain"), DatasetKind::Pretrain, 500, 508).unwrap();
    let mut sft = DatasetWriter::create(&folder.path().join("sft"), DatasetKind::Sft, 500, 508).unwrap();
    for document in 0..40_u32 {
        let ids: Vec<u32> = (0..20 + document % 7).map(|i| (document * 31 + i * i) % 500).collect();
        pretrain.part(&ids, ids.len() * 3).unwrap();
        pretrain.end().unwrap();
        sft.record(&ids[..5], &ids[5..], ids.len() * 3).unwrap();
    }
    pretrain.finish().unwrap();
    sft.finish().unwrap();
    folder
}

pub(crate) fn config(folder: &Path, kind: Training, out: &str, keys: &str) -> RunConfig {
    let data = folder.join(if kind == Training::Sft { "sft" } else { "pretrain" });
    let row_length = if kind == Training::Sft { "" } else { "row_length = 12" };
    let text = format!(
        r#"
        out = {:?}
        data = {data:?}
        validation = {data:?}
        init = {:?}
        dtype = "f32"
        {row_length}
        batch_size = 6
        checkpoint_every = 4
        validate_every = 4
        validation_rows = 2
        mc_num = 4
        schedule.warmup_steps = 2
        "#,
        folder.join(out),
        fixture("tiny-llada"),
    );
    let tables = [text.parse::<Table>().unwrap(), keys.parse::<Table>().unwrap()];
    RunConfig::from_tables(kind, tables).unwrap()
}

/// Runs to the end, or until `stop_at` steps were made.
pub(crate) fn train(config: &RunConfig, kind: Training, stop_at: u64) -> Result<(Run, Outcome), TrainError> {
    let mut run = Run::open(config.clone(), kind)?;
    let stop = AtomicBool::new(false);
    let outcome = run.train(&stop, |event| {
        if let Event::Step(metrics) = event {
            stop.store(metrics.step == stop_at, Ordering::Relaxed);
        }
    })?;
    Ok((run, outcome))
}

/// The bytes of everything that the newest checkpoint holds of numbers, merged if these are divided.
pub(crate) fn bytes(config: &RunConfig) -> Vec<Vec<u8>> {
    let mut folder = newest(&config.out.join("checkpoints")).unwrap().whole.unwrap().0;
    let merged = tempfile::tempdir().unwrap();
    match merge(&folder, &merged.path().join("merged"), |_, _| Ok(())) {
        Ok(()) => folder = merged.path().join("merged"),
        Err(error) => assert!(matches!(error, TrainError::NotDivided { .. }), "{error}"),
    }
    let files = [
        "model.safetensors",
        "adapter_model.safetensors",
        "exp_avg/model.safetensors",
        "exp_avg_sq/model.safetensors",
        "ema/model.safetensors",
    ];
    files.iter().filter_map(|file| fs::read(folder.join(file)).ok()).collect()
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let folder = workplace();
    for (kind, keys) in [
        (Training::Pretrain, "steps = 14"),
        (
            Training::Pretrain,
            "steps = 14\nmicro_batch_size = 2\nema_decay = 0.9\nstratified_t = true\ndtype = \"bf16\"",
        ),
        (Training::Sft, "steps = 14\nmicro_batch_size = 4\ngroup_by_length = true\nactivation_checkpointing = true"),
    ] {
        let name = |part: &str| format!("{part}-{kind:?}-{}", keys.len());
        let whole = config(folder.path(), kind, &name("whole"), keys);
        train(&whole, kind, 0).unwrap();
        let parts = config(folder.path(), kind, &name("parts"), keys);
        let (_, outcome) = train(&parts, kind, 7).unwrap();
        assert_eq!(outcome, Outcome::Stopped(parts.out.join("checkpoints/step-00000007")));
        let (run, outcome) = train(&parts, kind, 0).unwrap();
        assert_eq!((run.steps_made(), outcome), (14, Outcome::Finished(parts.out.join("model"))));
        assert!(bytes(&whole) == bytes(&parts), "{kind:?} {keys}");
        let steps = |config: &RunConfig| -> Vec<(u64, f64)> {
            let lines = metrics::read(&config.out.join("metrics.jsonl")).unwrap();
            lines.iter().map(|line| (line.step, line.loss)).collect()
        };
        assert_eq!(steps(&whole), steps(&parts));
    }
}

#[test]
fn settings_are_written_by_the_names_that_are_read() {
    let folder = workplace();
    let config = config(folder.path(), Training::Pretrain, "run", "steps = 1\nexport_dtype = \"bf16\"");
    let mut keys = serde_json::to_value(&config).unwrap();
    assert_eq!([&keys["dtype"], &keys["export_dtype"], &keys["device"]], ["f32", "bf16", "cpu"]);
    for (device, expected) in [("cuda", Device::Cuda(0)), ("cuda:0", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))] {
        keys["device"] = device.into();
        let read: RunConfig = serde_json::from_value(keys.clone()).unwrap();
        assert_eq!(read, RunConfig { device: expected, ..config.clone() });
    }
}

#[test]
fn sampling_between_two_parts_of_a_run_does_not_change_it() {
    let folder = workplace();
    let whole = config(folder.path(), Training::Pretrain, "whole", "steps = 6");
    train(&whole, Training::Pretrain, 0).unwrap();
    let parts = config(folder.path(), Training::Pretrain, "parts", "steps = 6");
    let (mut run, _) = train(&parts, Training::Pretrain, 3).unwrap();
    let special = SpecialTokens { eos: run.model().config().eos_token_id, eot: None };
    let request = Request::new([1, 2, 3], SamplerConfig { gen_length: 8, ..Default::default() });
    assert_eq!(Engine::new(run.model_mut(), special).generate(&request).unwrap().output.len(), 8);
    run.train(&AtomicBool::new(false), |_| ()).unwrap();
    assert!(bytes(&whole) == bytes(&parts));
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_previous() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let config = config(folder.path(), kind, "run", "steps = 8");
    let checkpoints = config.out.join("checkpoints");
    let last = checkpoints.join("step-00000008");
    type Damage = fn(&Path);
    let damage: [(&str, Damage); 4] = [
        ("SHA-256", |last| truncate(&last.join("model.safetensors"))),
        ("SHA-256", |last| flip(&last.join("exp_avg/model.safetensors"))),
        ("state.json", |last| fs::remove_file(last.join("state.json")).unwrap()),
        ("EOF", |last| truncate(&last.join("state.json"))),
    ];
    for (message, damage) in damage {
        train(&config, kind, 0).unwrap();
        let expected = bytes(&config);
        damage(&last);
        // What a killed process leaves.
        fs::create_dir_all(checkpoints.join("step-00000012.tmp")).unwrap();
        let run = Run::open(config.clone(), kind).unwrap();
        assert_eq!(run.steps_made(), 4);
        assert_eq!(run.skipped()[0].folder, last);
        let error = run.skipped()[0].error.to_string();
        assert!(error.contains(message), "{error}");
        drop(run);
        train(&config, kind, 0).unwrap();
        assert!(bytes(&config) == expected);
    }
}

fn truncate(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn checkpoints_are_kept_n_deep() {
    let folder = workplace();
    let config = config(folder.path(), Training::Pretrain, "run", "steps = 10\ncheckpoint_every = 2\nkeep = 3");
    train(&config, Training::Pretrain, 0).unwrap();
    let mut names: Vec<PathBuf> =
        fs::read_dir(config.out.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let steps = ["06", "08", "10"].map(|step| config.out.join(format!("checkpoints/step-000000{step}")));
    assert_eq!(names, steps);
}

#[test]
fn an_overflow_stops_the_run_and_spares_the_checkpoint() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let good = config(folder.path(), kind, "run", "steps = 4");
    train(&good, kind, 0).unwrap();
    let expected = bytes(&good);
    let bad = config(folder.path(), kind, "run", "steps = 20\nschedule.lr = 1e30");
    let error = train(&bad, kind, 0).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    assert!(told(&error).contains("hint: the last checkpoint is intact"));
    assert!(bytes(&good) == expected);
}

/// A folder that cannot be written stands for a full disk.
#[test]
fn a_failed_write_spares_the_checkpoint() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let config = config(folder.path(), kind, "run", "steps = 8");
    let checkpoints = config.out.join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    fs::write(checkpoints.join("step-00000008.tmp"), "a file where a folder has to be").unwrap();
    let error = told(&train(&config, kind, 0).unwrap_err());
    assert!(error.contains("step-00000008.tmp") && error.contains("hint: is the disk full"), "{error}");
    assert_eq!(newest(&checkpoints).unwrap().whole.unwrap().1.step, 4);
}

#[test]
fn the_exported_model_is_a_checkpoint_like_any_other() {
    let folder = workplace();
    let tokenizer = folder.path().join("tokenizer");
    let template = "additional_chat_templates/default.jinja";
    fs::create_dir_all(tokenizer.join(template).parent().unwrap()).unwrap();
    fs::copy(fixture("tiny-llada").join("tokenizer.json"), tokenizer.join("tokenizer.json")).unwrap();
    for (file, text) in [(template, "{{ messages | length }}"), ("special_tokens_map.json", "{}")] {
        fs::write(tokenizer.join(file), text).unwrap();
    }
    let keys = format!("steps = 3\nema_decay = 0.5\ntokenizer = {tokenizer:?}");
    let config = config(folder.path(), Training::Sft, "run", &keys);
    let (run, outcome) = train(&config, Training::Sft, 0).unwrap();
    let Outcome::Finished(model) = outcome else { panic!("{outcome:?}") };
    for file in Tokenizer::FILES.map(Path::new) {
        assert_eq!(fs::read(model.join(file)).ok(), fs::read(tokenizer.join(file)).ok(), "{}", file.display());
    }
    let loaded = Transformer::load(&model, Device::Cpu, Dtype::Bf16).unwrap();
    assert_eq!(loaded.config(), run.model().config());
    assert!(Tokenizer::load(&model, loaded.config()).unwrap().is_some());
    let lines = metrics::read(&config.out.join("metrics.jsonl")).unwrap();
    assert!(lines[2].validation_bits_per_byte.unwrap() > 0.0);
    assert!(fs::read_to_string(config.out.join("loss.svg")).unwrap().contains("<polyline"));
}

#[test]
fn settings_are_honoured_or_refused_by_name() {
    let folder = workplace();
    let refused = |keys: &str| {
        let text = format!("out = \"o\"\ndata = \"d\"\ninit = \"i\"\nsteps = 3\n{keys}");
        told(&RunConfig::from_tables(Training::Pretrain, [text.parse::<Table>().unwrap()]).unwrap_err())
    };
    for (keys, message) in [
        ("learning_rate = 1", "unknown field `learning_rate`"),
        ("optimizer.beta = 1", "unknown field `beta`"),
        ("keep = 0", "keep is 0\nhint: it has to be at least 1"),
        ("dtype = \"f16\"", "unknown variant `f16`, expected `f32` or `bf16`\nin `dtype`"),
        ("export_dtype = 16", "in `export_dtype`"),
        ("device = \"tpu\"", "invalid value: string \"tpu\", expected cpu, cuda, or cuda:1 and so on\nin `device`"),
        ("schedule.decay_ratio = 2.0", "schedule.decay_ratio is 2"),
        ("ema_decay = 1.0", "ema_decay is 1"),
        ("objective = \"gan\"", "unknown variant `gan`"),
    ] {
        let error = refused(keys);
        assert!(error.contains(message), "{error}");
    }
    for (keys, message) in [
        ("steps = 1\nbatch_size = 5000", "batch_size is 5000"),
        ("steps = 1\nrow_length = 257", "row_length is 257"),
        ("steps = 1\nobjective = \"ar\"", "objective is not that of init"),
    ] {
        let config = config(folder.path(), Training::Pretrain, "refused", keys);
        let error = Run::open(config, Training::Pretrain).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let config = config(folder.path(), Training::Pretrain, "refused", "steps = 1");
    let error = told(&Run::open(config, Training::Sft).unwrap_err());
    assert!(error.ends_with("it was prepared for another kind of training\nhint: it is for pre-training"), "{error}");
}

#[test]
fn a_run_goes_on_as_what_it_was() {
    let folder = workplace();
    let open = |d_model: usize| {
        let text = format!(
            "out = {:?}\ndata = {:?}\ntokenizer = {:?}\nsteps = 2\nrow_length = 12\n[model]\nd_model = {d_model}\n\
             n_layers = 1\nn_heads = 2\nmlp_hidden_size = 32\nmax_sequence_length = 32",
            folder.path().join("run"),
            folder.path().join("pretrain"),
            fixture("tiny-llada"),
        );
        Run::open(
            RunConfig::from_tables(Training::Pretrain, [text.parse::<Table>().unwrap()]).unwrap(),
            Training::Pretrain,
        )
    };
    open(16).unwrap().train(&AtomicBool::new(false), |_| ()).unwrap();
    assert_eq!(open(16).unwrap().steps_made(), 2);
    let error = told(&open(32).unwrap_err());
    assert!(
        error.contains("another [model], [adapter], base_dtype or objective\nhint: out FOLDER of another name"),
        "{error}"
    );
}
