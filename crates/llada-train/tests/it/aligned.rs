//! Runs of preferences, reinforcement learning and distillation: what they start at, and that they go on bit for bit.

use std::{
    f64::consts::LN_2,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use llada_train::{
    TrainError,
    collective::{Collective, SingleProcess},
    config::{RunConfig, Training},
    environment::Environment,
    metrics::{self, Metrics},
    run::{Event, Outcome, Run},
};
use serde_json::json;
use tempfile::TempDir;
use toml::Table;

use crate::{fixture, run, told};

/// A folder with pairs, prompts and a dataset.
pub(crate) fn workplace() -> TempDir {
    let folder = run::workplace();
    let (mut pairs, mut prompts) = (String::new(), String::new());
    for i in 0..8 {
        let question = "how many ".repeat(1 + i % 3) + &i.to_string();
        pairs += &json!({"prompt": question, "chosen": format!("it is {i}"), "rejected": "no"}).to_string();
        prompts += &json!({"messages": [{"role": "user", "content": question}]}).to_string();
        pairs.push('\n');
        prompts.push('\n');
    }
    fs::write(folder.path().join("pairs.jsonl"), pairs).unwrap();
    fs::write(folder.path().join("prompts.jsonl"), prompts).unwrap();
    folder
}

pub(crate) fn config(folder: &Path, training: Training, out: &str, keys: &str) -> RunConfig {
    let text = format!(
        "out = {:?}\ninit = {:?}\ndtype = \"f32\"\nsteps = 6\nbatch_size = 4\nmicro_batch_size = 3\n\
         checkpoint_every = 100\nschedule = {{ lr = 1e-3, min_lr = 1e-3, warmup_steps = 0 }}",
        folder.join(out),
        fixture("tiny-llada"),
    );
    let mut keys: Table = keys.parse().unwrap();
    if let Some(data) = keys.get_mut("data") {
        *data = folder.join(data.as_str().unwrap()).to_str().unwrap().into();
    }
    RunConfig::from_tables(training, [text.parse().unwrap(), keys]).unwrap()
}

/// Prompts of a few ids, and a taste for small ids.
#[derive(Debug)]
struct Small([Vec<u32>; 4]);

impl Small {
    fn new() -> Self {
        Self([vec![7, 8, 9], vec![100, 20], vec![3; 5], vec![400]])
    }
}

impl Environment for Small {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn prompt(&self, index: usize) -> &[u32] {
        &self.0[index]
    }

    fn reward(&self, index: usize, answer: &[u32]) -> f64 {
        answer.iter().filter(|&&id| id < 250).count() as f64 + index as f64
    }
}

fn open(config: &RunConfig, training: Training) -> Result<Run, TrainError> {
    open_with(config, training, SingleProcess)
}

pub(crate) fn open_with(
    config: &RunConfig,
    training: Training,
    collective: impl Collective + 'static,
) -> Result<Run, TrainError> {
    let (config, collective) = (config.clone(), Box::new(collective));
    match training {
        Training::Rl => Run::rl_with(config, Small::new(), collective),
        _ => Run::open_with(config, training, collective),
    }
}

/// Runs to the end, or until `stop` says so.
pub(crate) fn train(config: &RunConfig, training: Training, stop: impl Fn(&Event<'_>) -> bool) -> Outcome {
    let asked = AtomicBool::new(false);
    let mut run = open(config, training).unwrap();
    assert!(run.skipped().is_empty(), "{:?}", run.skipped());
    run.train(&asked, |event| asked.store(asked.load(Ordering::Relaxed) || stop(&event), Ordering::Relaxed)).unwrap()
}

fn steps(config: &RunConfig) -> Vec<Metrics> {
    let mut lines = metrics::read(&config.out.join("metrics.jsonl")).unwrap();
    lines.iter_mut().for_each(|line| line.tokens_per_second = 0.0);
    lines
}

fn after(step: u64) -> impl Fn(&Event<'_>) -> bool {
    move |event| matches!(event, Event::Step(metrics) if metrics.step == step)
}

pub(crate) const SHORT: &str = "num_generations = 2, num_iterations = 3, gen_length = 8, block_length = 4";

#[test]
fn resumed_runs_equal_uninterrupted_ones() {
    let folder = workplace();
    let mut cases = vec![
        (Training::Preference, "data = \"pairs.jsonl\"".to_owned()),
        (
            Training::Preference,
            "data = \"pairs.jsonl\"\npreference = { masks = \"independent\", loss = \"ipo\" }".to_owned(),
        ),
        (Training::Distillation, "data = \"sft\"\ndistillation.objective = \"cap\"".to_owned()),
    ];
    for objective in ["espo", "diffu_grpo", "wd1", "spg", "coupled_grpo", "trace_rl"] {
        cases.push((Training::Rl, format!("rl = {{ objective = \"{objective}\", {SHORT} }}")));
    }
    for objective in ["dparallel", "d3llm"] {
        let keys = format!("distillation = {{ objective = \"{objective}\", gen_length = 8, block_length = 4 }}");
        cases.push((Training::Distillation, format!("data = \"prompts.jsonl\"\n{keys}")));
    }
    let adapter = "adapter = { r = 2, lora_dropout = 0.1 }\nbase_dtype = \"int8\"";
    cases.push((Training::Rl, format!("{adapter}\nrl = {{ objective = \"espo\", {SHORT} }}")));
    cases.push((Training::Preference, format!("{adapter}\ndata = \"pairs.jsonl\"")));
    for (case, (training, keys)) in cases.into_iter().enumerate() {
        let whole = config(folder.path(), training, &format!("whole-{case}"), &keys);
        train(&whole, training, |_| false);
        let parts = config(folder.path(), training, &format!("parts-{case}"), &keys);
        // Before the first step, in the middle of what answers are learnt from, and before the last step.
        train(&parts, training, |event| matches!(event, Event::Prepared { done: 1.., .. }) || after(2)(event));
        train(&parts, training, after(4));
        train(&parts, training, after(5));
        let Outcome::Finished(out) = train(&parts, training, |_| false) else { panic!("{keys}") };
        assert_eq!(steps(&whole), steps(&parts), "{keys}");
        let made = out.strip_prefix(&parts.out).unwrap();
        let file = if made.ends_with("adapter") { "adapter_model.safetensors" } else { "model.safetensors" };
        let weights = [&whole, &parts].map(|config| fs::read(config.out.join(made).join(file)).unwrap());
        assert!(weights[0] == weights[1], "{keys}");
        assert!(steps(&whole).iter().any(|step| step.grad_norm > 0.0), "{keys}: nothing was learnt");
    }
}

/// [`Small`], which asks to stop while the prompts of the second set of answers are asked.
#[derive(Debug)]
pub(crate) struct Impatient {
    small: Small,
    asked: AtomicUsize,
    judged: AtomicUsize,
    /// The number of answers of a set that this process gives.
    of_set: usize,
    stop: Arc<AtomicBool>,
}

impl Impatient {
    pub(crate) fn new(of_set: usize, stop: Arc<AtomicBool>) -> Self {
        Self { small: Small::new(), asked: AtomicUsize::new(0), judged: AtomicUsize::new(0), of_set, stop }
    }
}

impl Environment for Impatient {
    fn len(&self) -> usize {
        self.small.len()
    }

    fn prompt(&self, index: usize) -> &[u32] {
        // All when the run is opened, and each answer's in each set.
        if self.asked.fetch_add(1, Ordering::Relaxed) == self.len() + self.of_set {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.small.prompt(index)
    }

    fn reward(&self, index: usize, answer: &[u32]) -> f64 {
        assert!(self.judged.fetch_add(1, Ordering::Relaxed) < self.of_set, "the second set was answered to its end");
        self.small.reward(index, answer)
    }
}

#[test]
fn a_run_stops_within_a_set_of_answers_and_goes_on() {
    let folder = workplace();
    let model = |config: &RunConfig| fs::read(config.out.join("model/model.safetensors")).unwrap();
    let keys = format!("rl = {{ objective = \"espo\", {SHORT} }}");
    let [whole, parts] = ["whole", "parts"].map(|out| config(folder.path(), Training::Rl, out, &keys));
    train(&whole, Training::Rl, |_| false);
    let stop = Arc::new(AtomicBool::new(false));
    let environment = Impatient::new(4, stop.clone());
    let outcome = Run::rl(parts.clone(), environment).unwrap().train(&stop, |_| ()).unwrap();
    assert_eq!(outcome, Outcome::Stopped(parts.out.join("checkpoints/step-00000003")));
    train(&parts, Training::Rl, |_| false);
    assert!(model(&whole) == model(&parts));

    let keys = "data = \"prompts.jsonl\"\ndistillation = { gen_length = 8, block_length = 4 }";
    let [whole, parts] = ["all", "half"].map(|out| config(folder.path(), Training::Distillation, out, keys));
    train(&whole, Training::Distillation, |_| false);
    // The prompts are answered together, in eight steps.
    let heard = AtomicUsize::new(0);
    let outcome = train(&parts, Training::Distillation, |event| {
        matches!(event, Event::Prepared { done: 0, .. }) && heard.fetch_add(1, Ordering::Relaxed) == 3
    });
    assert_eq!((outcome, heard.into_inner()), (Outcome::Stopped(parts.out.clone()), 4));
    train(&parts, Training::Distillation, |_| false);
    assert!(model(&whole) == model(&parts));
}

/// A run that is asked to stop at once saves a checkpoint of step 0, and goes on from it.
#[test]
fn a_run_that_has_answered_nothing_goes_on() {
    let folder = workplace();
    let keys = format!("rl = {{ objective = \"spg\", {SHORT} }}");
    let config = config(folder.path(), Training::Rl, "early", &keys);
    let outcome = open(&config, Training::Rl).unwrap().train(&AtomicBool::new(true), |_| ()).unwrap();
    assert_eq!(outcome, Outcome::Stopped(config.out.join("checkpoints/step-00000000")));
    assert!(matches!(train(&config, Training::Rl, |_| false), Outcome::Finished(_)));
}

#[test]
fn answers_of_other_settings_are_not_learnt_from() {
    let folder = workplace();
    let keys = |iterations: usize| {
        format!("rl = {{ objective = \"espo\", num_generations = 2, num_iterations = {iterations}, gen_length = 8 }}")
    };
    train(&config(folder.path(), Training::Rl, "other", &keys(3)), Training::Rl, after(2));
    let other = config(folder.path(), Training::Rl, "other", &keys(5));
    let error = told(&open(&other, Training::Rl).unwrap_err());
    assert!(error.contains("rollouts.json: it is of other data or settings"), "{error}");
}

/// The policy is the reference, and sees the same masks: no margin, of no pair.
#[test]
fn preferences_start_at_no_margin_at_all() {
    let folder = workplace();
    for keys in ["", "preference.masks = \"independent\""] {
        let keys = format!("data = \"pairs.jsonl\"\n{keys}");
        let config = config(folder.path(), Training::Preference, &format!("start-{}", keys.len()), &keys);
        train(&config, Training::Preference, |_| false);
        let steps = steps(&config);
        assert!((steps[0].loss - LN_2).abs() < 1e-15, "{}", steps[0].loss);
        for name in ["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"] {
            assert_eq!(steps[0].details[name], 0.0, "{name}");
        }
        assert!(steps[5].details["rewards/margins"] > 0.0, "{steps:?}");
    }
}

/// On the answers that the model has just given, its ratio to itself is 1 and its distance from the start 0.
#[test]
fn answers_are_first_learnt_from_by_the_model_that_gave_them() {
    let folder = workplace();
    let keys = format!("rl = {{ objective = \"espo\", beta = 10.0, {SHORT} }}");
    let config = config(folder.path(), Training::Rl, "first", &keys);
    train(&config, Training::Rl, |_| false);
    let steps = steps(&config);
    // The advantages of a group add up to 0.
    assert!(steps[0].loss.abs() < 1e-12 && steps[0].grad_norm > 0.0, "{steps:?}");
    assert!(steps[1].loss != 0.0);
    assert!(steps[..3].iter().all(|step| step.details["reward"] == steps[0].details["reward"]));
}

#[test]
fn numbers_that_were_lost_or_are_of_another_run_are_refused() {
    let folder = workplace();
    let training = Training::Preference;
    let lost = config(folder.path(), training, "lost", "data = \"pairs.jsonl\"");
    train(&lost, training, after(2));
    fs::remove_file(lost.out.join("reference.jsonl")).unwrap();
    let stop = AtomicBool::new(false);
    let error = open(&lost, training).unwrap().train(&stop, |_| ()).unwrap_err();
    assert!(error.to_string().ends_with("reference.jsonl: the numbers of item 0 are missing"), "{error}");

    let first = config(folder.path(), training, "other", "data = \"pairs.jsonl\"");
    train(&first, training, |event| matches!(event, Event::Prepared { done: 2, .. }));
    let other = config(folder.path(), training, "other", "data = \"pairs.jsonl\"\nseed = 7");
    let error = told(&open(&other, training).unwrap().train(&stop, |_| ()).unwrap_err());
    assert!(error.contains("reference.jsonl: it is of other data or settings"), "{error}");
}

/// A reference that is not finite is told before it is written, since JSON has no such numbers.
#[test]
fn likelihoods_that_are_not_finite_are_refused() {
    let folder = workplace();
    let damaged = folder.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    for file in fs::read_dir(fixture("tiny-llada")).unwrap().flatten().filter(|file| file.path().is_file()) {
        let mut bytes = fs::read(file.path()).unwrap();
        if file.path().extension().is_some_and(|extension| extension == "safetensors") {
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            // In every dtype it is not a number.
            bytes[8 + header..].fill(0xff);
        }
        fs::write(damaged.join(file.file_name()), bytes).unwrap();
    }
    let keys = format!("data = \"pairs.jsonl\"\ninit = {damaged:?}");
    let config = config(folder.path(), Training::Preference, "infinite", &keys);
    let stop = AtomicBool::new(false);
    for _ in 0..2 {
        let error = open(&config, Training::Preference).unwrap().train(&stop, |_| ()).unwrap_err();
        assert!(error.to_string().ends_with("the log-likelihood of an answer of pair 0 is NaN"), "{error}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let folder = workplace();
    let path = folder.path().to_owned();
    let told_of = |training, keys: &str| {
        let text = format!("out = \"x\"\nsteps = 1\nbatch_size = 4\ninit = {:?}\n{keys}", fixture("tiny-llada"));
        RunConfig::from_tables(training, [text.parse::<Table>().unwrap()]).map_err(|error| told(&error))
    };
    for (training, keys, message) in [
        (Training::Preference, "preference.beta = 0.0", "preference.beta is 0"),
        (Training::Preference, "preference.label_smoothing = 0.5", "label_smoothing is 0.5"),
        (Training::Preference, "preference = { loss = \"ipo\", label_smoothing = 0.1 }", "only the loss sigmoid"),
        (Training::Preference, "preference.loss = \"kto\"", "unknown variant"),
        (Training::Rl, "rl = { objective = \"espo\", num_generations = 3 }", "a multiple of rl.num_generations, 3"),
        (Training::Rl, "rl = { objective = \"espo\", num_generations = 2, temperature = 0.0 }", "rl.temperature is 0"),
        (Training::Rl, "rl = { objective = \"ppo\" }", "unknown variant"),
        (Training::Rl, "rl = { objective = \"espo\", num_generations = 2, psi = 1.0 }", "unknown field `psi`"),
        (Training::Rl, "rl = { objective = \"espo\", num_generations = 2, epsilon = -0.1 }", "epsilon"),
        (Training::Rl, "rl = { objective = \"spg\", num_generations = 2, eubo_beta = 0.0 }", "eubo_beta"),
        (Training::Rl, "rl = { objective = \"trace_rl\", num_generations = 2, shrink = 0 }", "shrink"),
        (Training::Rl, "rl.num_generations = 2\nobjective = \"ar\"", "objective is ar"),
        (Training::Preference, "rl.num_generations = 2", "rl is given, and this kind of training does not read it"),
        (Training::Preference, "stratified_t = true", "hint: it is for pre-training, fine-tuning, distillation"),
        (Training::Pretrain, "objective = \"ar\"\nstratified_t = true", "stratified_t is true\nhint: objective ar has"),
        (Training::Pretrain, "preference.beta = 0.1", "hint: it is for preference optimisation"),
        (Training::Rl, "row_length = 8", "hint: it is for pre-training"),
        (Training::Distillation, "group_by_length = true", "hint: it is for distillation.objective cap"),
        (Training::Distillation, "sft.turns = \"all\"", "sft is given\nhint: it is for distillation.objective cap"),
        (Training::Distillation, "distillation.mask_ratio = 0.5", "distillation.mask_ratio is given\nhint: it is for"),
        (
            Training::Distillation,
            "distillation = { objective = \"cap\", gen_length = 8 }",
            "distillation.gen_length is given\nhint: it is for distillation.objective dparallel and d3llm",
        ),
        (Training::Distillation, "distillation.temperature = 0.0", "distillation.temperature is 0"),
        (
            Training::Distillation,
            "distillation = { objective = \"d3llm\", mask_ratio = 2.0 }",
            "distillation.mask_ratio is 2",
        ),
    ] {
        let error = told_of(training, keys).unwrap_err();
        assert!(error.contains(message), "{keys}: {error}");
    }
    for (line, message) in [
        (r#"{"prompt": "a", "chosen": "b"}"#, "missing field `rejected`"),
        (r#"{"chosen": [{"role": "user", "content": "b"}], "rejected": "c"}"#, "not the assistant's"),
        (
            r#"{"prompt": "a", "chosen": "b", "rejected": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "c"}]}"#,
            "not to the same messages",
        ),
        ("{", "EOF"),
    ] {
        fs::write(path.join("bad.jsonl"), format!("{line}\n")).unwrap();
        let config = config(&path, Training::Preference, "bad", "data = \"bad.jsonl\"");
        let error = told(&open(&config, Training::Preference).unwrap_err());
        assert!(error.contains("bad.jsonl: ") && error.contains(message), "{line}: {error}");
    }
}
