//! Runs by several ranks and by one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use llada_distributed::C10dCollective;
use llada_train::{
    checkpoint::newest,
    config::{RunConfig, Training},
    data::{DatasetKind, DatasetWriter},
    metrics::{self, Metrics},
    run::{Outcome, Run},
};
use tempfile::TempDir;

use crate::ranks;

/// A folder with a small dataset of each kind.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, kind) in [("pretrain", DatasetKind::Pretrain), ("sft", DatasetKind::Sft)] {
        let mut writer = DatasetWriter::create(&folder.path().join(name), kind, 500, 508).unwrap();
        for document in 0..40_u32 {
            let ids: Vec<u32> = (0..20 + document % 7).map(|i| (document * 31 + i * i) % 500).collect();
            match kind {
                DatasetKind::Pretrain => {
                    writer.part(&ids, ids.len() * 3).unwrap();
                    writer.end().unwrap();
                }
                DatasetKind::Sft => writer.record(&ids[..5], &ids[5..], ids.len() * 3).unwrap(),
            }
        }
        writer.finish().unwrap();
    }
    folder
}

fn config(folder: &Path, training: Training, out: &str, keys: &str) -> RunConfig {
    let (data, length) = if training == Training::Sft { ("sft", "") } else { ("pretrain", "row_length = 12") };
    let init = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../llada-model/tests/fixtures/tiny-llada");
    let text = format!(
        "out = {:?}\ndata = {:?}\nvalidation = {:?}\ninit = {init:?}\ndtype = \"f32\"\n{length}\nvalidation_rows = 3\n\
         mc_num = 4\nvalidate_every = 2\ncheckpoint_every = 1000\nschedule = {{ lr = 1e-3, warmup_steps = 2 }}",
        folder.join(out),
        folder.join(data),
        folder.join(data),
    );
    RunConfig::from_tables(training, [text.parse().unwrap(), keys.parse().unwrap()]).unwrap()
}

/// Trains by `world_size` ranks, and returns what each step has told. The last checkpoint has all numbers.
fn train(config: &RunConfig, training: Training, world_size: usize) -> Vec<Metrics> {
    let results = ranks(world_size, Duration::from_secs(60), |group| {
        let mut run = match world_size {
            1 => Run::open(config.clone(), training).unwrap(),
            _ => Run::open_with(config.clone(), training, Box::new(C10dCollective::new(group))).unwrap(),
        };
        Ok(run.train(&AtomicBool::new(false), |_| ()).unwrap())
    });
    for outcome in results {
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
    }
    let mut lines = metrics::read(&config.out.join("metrics.jsonl")).unwrap();
    lines.iter_mut().for_each(|line| line.tokens_per_second = 0.0);
    lines
}

/// The files of the last checkpoint that hold numbers.
fn numbers(config: &RunConfig) -> Vec<Vec<u8>> {
    let folder = newest(&config.out.join("checkpoints")).unwrap().whole.unwrap().0;
    let files = ["model", "adapter_model", "exp_avg/model", "exp_avg_sq/model", "ema/model"];
    files.iter().filter_map(|file| fs::read(folder.join(format!("{file}.safetensors"))).ok()).collect()
}

#[test]
fn two_ranks_with_a_micro_batch_each_equal_one_with_two_bit_for_bit() {
    let folder = workplace();
    for (case, (training, keys)) in [
        (Training::Pretrain, "ema_decay = 0.9"),
        (Training::Sft, "stratified_t = true"),
        (Training::Sft, "adapter = { r = 4, lora_alpha = 8, lora_dropout = 0.1 }\nbase_dtype = \"nf4\""),
    ]
    .into_iter()
    .enumerate()
    {
        let keys = format!("steps = 6\nbatch_size = 8\nmicro_batch_size = 4\n{keys}");
        let one = config(folder.path(), training, &format!("one-{case}"), &keys);
        let two = config(folder.path(), training, &format!("two-{case}"), &keys);
        assert_eq!(train(&one, training, 1), train(&two, training, 2), "{keys}");
        assert!(numbers(&one) == numbers(&two) && numbers(&one).len() >= 3, "{keys}");
    }
}

#[test]
fn four_ranks_agree_with_one() {
    let folder = workplace();
    let keys = "steps = 20\nbatch_size = 12";
    let one = config(folder.path(), Training::Pretrain, "one", keys);
    let four = config(folder.path(), Training::Pretrain, "four", keys);
    for (one, four) in train(&one, Training::Pretrain, 1).iter().zip(train(&four, Training::Pretrain, 4)) {
        let off = |one: f64, four: f64| (one - four).abs() / one.abs();
        assert!(off(one.loss, four.loss) < 1e-5 && off(one.grad_norm, four.grad_norm) < 1e-5, "{one:?} {four:?}");
        assert_eq!(one.validation_bits_per_token.is_some(), four.validation_bits_per_token.is_some());
    }
    let read = |config: &RunConfig| {
        let file = numbers(config).swap_remove(0);
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let weights = file[8 + header..].chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        weights.collect::<Vec<f32>>()
    };
    let (one, four) = (read(&one), read(&four));
    let largest = one.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let off = one.iter().zip(&four).map(|(one, four)| (one - four).abs()).fold(0.0, f32::max);
    assert!(off <= 1e-5 * largest, "{off} of {largest}");
}

#[test]
fn ranks_that_divide_the_moments_have_the_bits_of_ranks_that_do_not_and_go_on_as_one() {
    let folder = workplace();
    for (case, adapter) in [
        "ema_decay = 0.9",
        "adapter = { r = 4 }",
        // So few numbers that one rank has none.
        "adapter = { r = 1, target_modules = [\"0.q_proj\"] }",
    ]
    .into_iter()
    .enumerate()
    {
        let of = |name: &str, steps: u64, shard: &str| {
            let keys = format!("steps = {steps}\nbatch_size = 6\nshard = \"{shard}\"\n{adapter}");
            config(folder.path(), Training::Pretrain, &format!("{name}-{case}"), &keys)
        };
        let (whole, divided) = (of("whole", 6, "none"), of("divided", 6, "optimizer"));
        assert_eq!(train(&whole, Training::Pretrain, 3), train(&divided, Training::Pretrain, 3));
        assert!(numbers(&whole) == numbers(&divided), "{adapter}");
        // Interrupted, with another number of ranks before.
        let (half, rest) = (of("parts", 3, "optimizer"), of("parts", 6, "optimizer"));
        let (half_of_whole, rest_of_whole) = (of("parts-whole", 3, "none"), of("parts-whole", 6, "none"));
        train(&half, Training::Pretrain, 2);
        train(&half_of_whole, Training::Pretrain, 2);
        assert_eq!(train(&rest, Training::Pretrain, 3), train(&rest_of_whole, Training::Pretrain, 3));
        assert!(numbers(&rest) == numbers(&rest_of_whole), "{adapter}");
    }
}

#[test]
fn ranks_that_have_opened_other_runs_are_told() {
    let folder = workplace();
    let results = ranks(2, Duration::from_secs(60), |group| {
        let keys = format!("steps = 6\nbatch_size = {}", 4 + group.rank());
        let config = config(folder.path(), Training::Pretrain, "out", &keys);
        let collective = Box::new(C10dCollective::new(group));
        let mut run = Run::open_with(config, Training::Pretrain, collective).unwrap();
        Ok(run.train(&AtomicBool::new(false), |_| ()).unwrap_err())
    });
    for error in results {
        let error = error.unwrap().to_string();
        assert_eq!(error, "rank 1 has opened another run than rank 0: batch_size is 5, not 4");
    }
}
