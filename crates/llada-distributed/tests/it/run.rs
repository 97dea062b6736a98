//! Runs by several ranks and by one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use llada_distributed::C10dCollective;
use llada_train::{
    TrainError,
    checkpoint::{merge, newest},
    config::{RunConfig, Training},
    data::{DatasetKind, DatasetWriter},
    metrics::{self, Metrics},
    run::{Outcome, Run},
};
use tempfile::TempDir;

use crate::ranks;

/// What ranks may divide.
const SHARDS: [&str; 4] = ["none", "optimizer", "gradient", "weights"];

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

/// The files of the last checkpoint that hold numbers, merged if these are divided.
fn numbers(config: &RunConfig) -> Vec<Vec<u8>> {
    let mut folder = newest(&config.out.join("checkpoints")).unwrap().whole.unwrap().0;
    let merged = tempfile::tempdir().unwrap();
    match merge(&folder, &merged.path().join("merged"), |_, _| Ok(())) {
        Ok(()) => folder = merged.path().join("merged"),
        Err(error) => assert!(matches!(error, TrainError::NotDivided { .. }), "{error}"),
    }
    let files = ["model", "adapter_model", "exp_avg/model", "exp_avg_sq/model", "ema/model"];
    files.iter().filter_map(|file| fs::read(folder.join(format!("{file}.safetensors"))).ok()).collect()
}

/// The weights of the last checkpoint.
fn weights(config: &RunConfig) -> Vec<f32> {
    let file = numbers(config).swap_remove(0);
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    file[8 + header..].chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn two_ranks_with_a_micro_batch_each_equal_one_with_two_bit_for_bit() {
    let folder = workplace();
    for (case, (training, keys)) in [
        (Training::Pretrain, "ema_decay = 0.9"),
        (Training::Sft, "stratified_t = true\nactivation_checkpointing = true"),
        (Training::Sft, "adapter = { r = 4, lora_alpha = 8, lora_dropout = 0.1 }\nbase_dtype = \"nf4\""),
        (Training::Pretrain, "dtype = \"bf16\""),
    ]
    .into_iter()
    .enumerate()
    {
        let of = |name: &str, shard: &str| {
            let keys = format!("steps = 6\nbatch_size = 8\nmicro_batch_size = 4\nshard = \"{shard}\"\n{keys}");
            config(folder.path(), training, &format!("{name}-{shard}-{case}"), &keys)
        };
        let one = of("one", "none");
        let expected = train(&one, training, 1);
        assert!(numbers(&one).len() >= 3);
        for shard in SHARDS {
            let two = of("two", shard);
            assert_eq!(expected, train(&two, training, 2), "{keys}, {shard}");
            assert!(numbers(&one) == numbers(&two), "{keys}, {shard}");
        }
        let alone = of("one", "weights");
        assert_eq!(expected, train(&alone, training, 1), "{keys}");
        assert!(numbers(&one) == numbers(&alone), "{keys}");
    }
}

#[test]
fn four_ranks_agree_with_one() {
    let folder = workplace();
    for (case, (training, keys)) in [
        // Three passes of each rank.
        (Training::Pretrain, "batch_size = 12\nmicro_batch_size = 1"),
        // Ranks with one pass and with two.
        (Training::Sft, "batch_size = 10\nmicro_batch_size = 2"),
        (Training::Sft, "batch_size = 12\nadapter = { r = 4, lora_alpha = 8 }"),
    ]
    .into_iter()
    .enumerate()
    {
        let of = |name: &str, shard: &str| {
            let keys = format!("steps = 20\nvalidate_every = 20\nshard = \"{shard}\"\n{keys}");
            config(folder.path(), training, &format!("{name}-{shard}-{case}"), &keys)
        };
        let one = of("one", "none");
        let expected = train(&one, training, 1);
        let weights = weights(&one);
        let norm = |weights: &mut dyn Iterator<Item = f32>| weights.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let whole = norm(&mut weights.iter().copied());
        for shard in SHARDS {
            let four = of("four", shard);
            for (one, four) in expected.iter().zip(train(&four, training, 4)) {
                let off = |one: f64, four: f64| (one - four).abs() / one.abs();
                assert!(
                    off(one.loss, four.loss) < 1e-5 && off(one.grad_norm, four.grad_norm) < 1e-5,
                    "{keys}, {shard}: {one:?} {four:?}"
                );
                assert_eq!(one.validation_bits_per_token.is_some(), four.validation_bits_per_token.is_some());
            }
            let found = self::weights(&four);
            // Of all weights together: AdamW moves a weight by the sign of its gradient, which of one near 0 is rounding.
            let off = norm(&mut weights.iter().zip(&found).map(|(one, four)| one - four));
            assert!(off <= 1e-5 * whole, "{keys}, {shard}: {off} of {whole}");
        }
    }
}

#[test]
fn ranks_that_divide_have_the_bits_of_ranks_that_do_not_and_go_on_with_another_share() {
    let folder = workplace();
    for (case, keys) in [
        "ema_decay = 0.9",
        "adapter = { r = 4 }",
        // So few numbers that one rank has none.
        "adapter = { r = 1, target_modules = [\"0.q_proj\"] }",
    ]
    .into_iter()
    .enumerate()
    {
        let of = |name: &str, steps: u64, shard: &str| {
            let keys = format!("steps = {steps}\nbatch_size = 6\nshard = \"{shard}\"\n{keys}");
            config(folder.path(), Training::Pretrain, &format!("{name}-{case}"), &keys)
        };
        let whole = of("whole", 6, "none");
        let expected = train(&whole, Training::Pretrain, 3);
        let (half, rest) = (of("parts-whole", 3, "none"), of("parts-whole", 6, "none"));
        train(&half, Training::Pretrain, 2);
        let expected_of_rest = train(&rest, Training::Pretrain, 3);
        for (before, after) in [("optimizer", "weights"), ("gradient", "optimizer"), ("weights", "gradient")] {
            let divided = of(before, 6, before);
            assert_eq!(expected, train(&divided, Training::Pretrain, 3), "{keys}, {before}");
            assert!(numbers(&whole) == numbers(&divided), "{keys}, {before}");
            // Interrupted, and goes on with another number of ranks and another share.
            let name = format!("parts-{before}");
            train(&of(&name, 3, before), Training::Pretrain, 2);
            let after = of(&name, 6, after);
            assert_eq!(expected_of_rest, train(&after, Training::Pretrain, 3), "{keys}, {before}");
            assert!(numbers(&rest) == numbers(&after), "{keys}, {before}");
        }
    }
}

#[test]
fn a_divided_run_goes_on_in_any_number_of_ranks_and_has_the_bits_of_one_that_is_not_divided() {
    let folder = workplace();
    let of = |name: &str, steps: u64| {
        let keys = format!("steps = {steps}\nbatch_size = 8\nema_decay = 0.9\nshard = \"{name}\"");
        config(folder.path(), Training::Pretrain, name, &keys)
    };
    for (steps, world_size) in [(2, 4), (4, 2), (6, 1), (8, 4), (9, 1), (11, 2)] {
        let whole = of("none", steps);
        let expected = train(&whole, Training::Pretrain, world_size);
        for (shard, parts) in [("optimizer", 3), ("weights", 4)] {
            let divided = of(shard, steps);
            let losses = |lines: &[Metrics]| lines.iter().map(|line| line.loss).collect::<Vec<_>>();
            assert_eq!(losses(&train(&divided, Training::Pretrain, world_size)), losses(&expected), "{shard}");
            assert!(numbers(&whole) == numbers(&divided), "step {steps} of {shard} in {world_size}");
            // Each rank has a file of each part.
            let checkpoint = divided.out.join(format!("checkpoints/step-{steps:08}"));
            let mut slices = 0;
            for folder in ["", "exp_avg", "exp_avg_sq", "ema"].map(|part| checkpoint.join(part)) {
                let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
                slices += names.filter(|name| name.starts_with("shard-")).count();
            }
            assert_eq!(slices, if world_size == 1 { 0 } else { parts * world_size });
        }
    }
    // In as many ranks it has the bits of a run that has not stopped.
    let config = RunConfig { checkpoint_every: 6, ..of("optimizer", 12) };
    let unbroken = RunConfig { out: folder.path().join("unbroken"), ..config };
    train(&unbroken, Training::Pretrain, 4);
    let expected = numbers(&unbroken);
    fs::remove_dir_all(unbroken.out.join("checkpoints/step-00000012")).unwrap();
    train(&unbroken, Training::Pretrain, 4);
    assert!(numbers(&unbroken) == expected);
}

#[test]
fn ranks_that_have_opened_other_runs_are_told() {
    let folder = workplace();
    let results = ranks(2, Duration::from_secs(60), |group| {
        let keys = format!("steps = 6\nbatch_size = {}", 4 + group.rank());
        let config = config(folder.path(), Training::Pretrain, "out", &keys);
        let collective = Box::new(C10dCollective::new(group));
        Ok(Run::open_with(config, Training::Pretrain, collective).unwrap_err())
    });
    for error in results {
        let error = error.unwrap().to_string();
        assert_eq!(error, "rank 1 has opened another run than rank 0: batch_size is 5, not 4");
    }
}
