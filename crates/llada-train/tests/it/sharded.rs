//! Checkpoints that several processes write: whole or not at all, whoever fails and when, and damaged ones.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    thread,
};

use llada_model::{Exchange, ExchangeError, Numbers, ParameterSlice, Pending};
use llada_train::{
    TrainError,
    checkpoint::{merge, newest},
    collective::Collective,
    config::{RunConfig, Training},
    run::Run,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    collective::{Pair, pair, train_in_two},
    mutation::survives,
    run::{bytes, config, train, workplace},
    told,
};

const SLICES: [&str; 2] =
    ["shard-00001-model-00001-of-00001.safetensors", "shard-00002-model-00001-of-00001.safetensors"];

fn divided(folder: &Path, out: &str, steps: u64) -> RunConfig {
    config(folder, Training::Pretrain, out, &format!("steps = {steps}\nshard = \"optimizer\"\nema_decay = 0.9"))
}

fn last(config: &RunConfig) -> PathBuf {
    newest(&config.out.join("checkpoints")).unwrap().whole.unwrap().0
}

/// The names of the files of a checkpoint, with those of the folders in it.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            names.extend(self::names(&path).into_iter().map(|file| format!("{name}/{file}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

fn merged(checkpoint: &Path, out: &Path) -> Result<(), TrainError> {
    merge(checkpoint, out, |_, _| Ok(()))
}

#[test]
fn slices_merge_into_the_files_that_undivided_processes_write() {
    let folder = workplace();
    let whole = config(folder.path(), Training::Pretrain, "whole", "steps = 4\nema_decay = 0.9");
    let sliced = divided(folder.path(), "sliced", 4);
    for config in [&whole, &sliced] {
        train_in_two(config, Training::Pretrain, 0);
    }
    let of_both = |part: &str| SLICES.map(|slice| format!("{part}/{slice}"));
    let is_slice = |name: &String| name.contains("shard-");
    let slices: Vec<String> = names(&last(&sliced)).into_iter().filter(is_slice).collect();
    assert_eq!(slices, [of_both("ema"), of_both("exp_avg"), of_both("exp_avg_sq")].concat());
    let out = folder.path().join("merged");
    merged(&last(&sliced), &out).unwrap();
    assert_eq!(names(&out), names(&last(&whole)));
    for name in names(&out).into_iter().filter(|name| name != "state.json") {
        assert!(fs::read(out.join(&name)).unwrap() == fs::read(last(&whole).join(&name)).unwrap(), "{name}");
    }
    let error = told(&merged(&last(&whole), &folder.path().join("again")).unwrap_err());
    assert!(error.ends_with("nothing in it is divided\nhint: it is whole already"), "{error}");
    assert!(merged(&last(&sliced), &out).unwrap_err().to_string().ends_with("it exists already"));
    // A process alone goes on from what was merged as from the slices.
    let ends = [last(&sliced), out.clone()].map(|from| {
        let config = divided(folder.path(), &format!("from-{}", from.file_name().unwrap().display()), 6);
        let checkpoints = config.out.join("checkpoints");
        fs::create_dir_all(&checkpoints).unwrap();
        fs::rename(from, checkpoints.join("step-00000004")).unwrap();
        let (run, _) = train(&config, Training::Pretrain, 0).unwrap();
        assert_eq!(run.steps_made(), 6);
        bytes(&config)
    });
    assert!(ends[0] == ends[1] && ends[0].len() == 4);
}

/// A process that is lost, with its collective, at the call number `left` from now on that sums no gradient and gathers no
/// weights.
#[derive(Debug)]
struct Dying {
    pair: Pair,
    left: usize,
}

impl Dying {
    fn live(&mut self) -> Result<&mut Pair, TrainError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| TrainError::Collective("died".into()))?;
        Ok(&mut self.pair)
    }
}

impl Exchange for Dying {
    fn start_all_reduce(&mut self, numbers: Numbers) -> Result<Box<dyn Pending>, ExchangeError> {
        self.pair.start_all_reduce(numbers)
    }

    fn start_reduce_scatter(&mut self, numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        self.pair.start_reduce_scatter(numbers, bounds)
    }

    fn start_all_gather(&mut self, numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        self.pair.start_all_gather(numbers, bounds)
    }
}

impl Collective for Dying {
    fn rank(&self) -> usize {
        self.pair.rank()
    }

    fn world_size(&self) -> usize {
        self.pair.world_size()
    }

    fn sum_all(&mut self, values: &mut [f64]) -> Result<(), TrainError> {
        self.live()?.sum_all(values)
    }

    fn broadcast(&mut self, slice: &mut ParameterSlice, root: usize) -> Result<(), TrainError> {
        self.live()?.broadcast(slice, root)
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        self.live()?.gather(own)
    }
}

/// Trains with two ranks, of which `dies` is lost at its call number `left`. Returns whether both came to the end.
fn lose(config: &RunConfig, dies: usize, left: usize) -> bool {
    let ranks = pair().map(|pair| {
        let config = config.clone();
        thread::spawn(move || {
            let left = if pair.rank() == dies { left } else { usize::MAX };
            let run = Run::open_with(config, Training::Pretrain, Box::new(Dying { pair, left }));
            run.and_then(|mut run| run.train(&AtomicBool::new(false), |_| ()).map(drop))
        })
    });
    let ends = ranks.map(|rank| rank.join().unwrap());
    for end in &ends {
        assert!(end.is_ok() || matches!(end, Err(TrainError::Collective(_))), "{end:?}");
    }
    ends.iter().all(Result::is_ok)
}

#[test]
fn whenever_a_rank_is_lost_the_last_checkpoint_is_whole_and_the_run_goes_on_from_it() {
    let folder = workplace();
    let whole = divided(folder.path(), "whole", 2);
    train_in_two(&whole, Training::Pretrain, 0);
    let expected = bytes(&whole);
    for dies in [0, 1] {
        let mut left = 0;
        loop {
            let parts = divided(folder.path(), &format!("parts-{dies}-{left}"), 2);
            let parts = RunConfig { checkpoint_every: 1, ..parts };
            let is_done = lose(&parts, dies, left);
            let found = newest(&parts.out.join("checkpoints")).unwrap();
            assert!(found.skipped.is_empty(), "{:?}", found.skipped);
            if let Some((checkpoint, manifest)) = found.whole {
                assert_eq!(checkpoint, parts.out.join(format!("checkpoints/step-{:08}", manifest.step)));
            }
            train_in_two(&parts, Training::Pretrain, 0);
            assert!(bytes(&parts) == expected, "rank {dies} at call {left}");
            fs::remove_dir_all(&parts.out).unwrap();
            if is_done {
                break;
            }
            left += 1;
        }
        // Opening, two steps with five calls for a checkpoint each, and the end.
        assert!(left > 15, "{left}");
    }
}

#[test]
fn a_rank_that_cannot_write_is_an_error_of_all() {
    let folder = workplace();
    let config = divided(folder.path(), "run", 8);
    let checkpoints = config.out.join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    fs::write(checkpoints.join("step-00000008.tmp"), "a file where a folder has to be").unwrap();
    let ranks = pair().map(|pair| {
        let config = config.clone();
        thread::spawn(move || {
            let mut run = Run::open_with(config, Training::Pretrain, Box::new(pair)).unwrap();
            told(&run.train(&AtomicBool::new(false), |_| ()).unwrap_err())
        })
    });
    let [first, second] = ranks.map(|rank| rank.join().unwrap());
    assert!(first.contains("step-00000008.tmp") && first.contains("hint: is the disk full"), "{first}");
    assert_eq!(second, format!("rank 0: {first}"));
    assert_eq!(newest(&checkpoints).unwrap().whole.unwrap().1.step, 4);
}

/// Has `state.json` vouch for the files as they are.
fn vouch(checkpoint: &Path) {
    let state = checkpoint.join("state.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    for (file, digest) in manifest["digests"].as_object_mut().unwrap() {
        let bytes = fs::read(checkpoint.join(file)).unwrap();
        *digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    fs::write(&state, manifest.to_string()).unwrap();
}

#[test]
fn damaged_slices_are_named_and_give_way_to_the_checkpoint_before() {
    let folder = workplace();
    let config = divided(folder.path(), "run", 8);
    type Damage = fn(&Path);
    let damage: [(&str, Damage); 3] = [
        ("it is not what was written (SHA-256)", |slice| {
            let mut bytes = fs::read(slice).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(slice, bytes).unwrap();
        }),
        ("it is not what was written (SHA-256)", |slice| fs::write(slice, "").unwrap()),
        ("No such file", |slice| fs::remove_file(slice).unwrap()),
    ];
    for (case, (message, damage)) in damage.into_iter().enumerate() {
        train_in_two(&config, Training::Pretrain, 0);
        let slice = last(&config).join("exp_avg").join(SLICES[case % 2]);
        damage(&slice);
        // Whichever rank reads the file, both skip the checkpoint.
        let ranks = pair().map(|pair| {
            let config = config.clone();
            thread::spawn(move || {
                let run = Run::open_with(config, Training::Pretrain, Box::new(pair)).unwrap();
                (run.steps_made(), run.skipped()[0].error.to_string())
            })
        });
        for (steps, error) in ranks.map(|rank| rank.join().unwrap()) {
            assert_eq!(steps, 4);
            assert!(error.contains(slice.to_str().unwrap()) && error.contains(message), "{error}");
        }
    }
}

#[test]
fn slices_that_do_not_fit_together_are_refused_by_name() {
    let folder = workplace();
    let config = divided(folder.path(), "run", 4);
    train_in_two(&config, Training::Pretrain, 0);
    let checkpoint = last(&config);
    let slice = |rank: usize| checkpoint.join("exp_avg").join(SLICES[rank]);
    let [first, second] = [0, 1].map(|rank| fs::read(slice(rank)).unwrap());
    let refused = || {
        vouch(&checkpoint);
        let alone = Run::open(config.clone(), Training::Pretrain).unwrap_err().to_string();
        let error = merged(&checkpoint, &folder.path().join("merged")).unwrap_err().to_string();
        (alone, error)
    };
    // The second slice is the first once more.
    fs::write(slice(1), &first).unwrap();
    let (alone, error) = refused();
    // The tensors of which the second rank had all rows.
    assert!(alone.contains("exp_avg: tensor model.transformer.") && alone.ends_with(" is missing"), "{alone}");
    assert!(error.contains(SLICES[1]) && error.contains(" is in another slice too"), "{error}");
    fs::write(slice(1), &second).unwrap();
    vouch(&checkpoint);
    Run::open(config.clone(), Training::Pretrain).unwrap();
    // Headers with other places and shapes, and anything else.
    let length = u64::from_le_bytes(second[..8].try_into().unwrap()) as usize;
    survives(48, &second[8..8 + length], |header| {
        let bytes = [&(header.len() as u64).to_le_bytes(), header, &second[8 + length..]].concat();
        fs::write(slice(1), bytes).unwrap();
        vouch(&checkpoint);
        if let Err(error) = Run::open(config.clone(), Training::Pretrain) {
            assert!(!error.to_string().is_empty());
        }
    });
}
