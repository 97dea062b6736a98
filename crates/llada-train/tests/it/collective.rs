//! Two processes train the model that one would.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use llada_model::{Exchange, ExchangeError, Numbers, ParameterSlice, Pending};
use llada_train::{
    TrainError,
    checkpoint::newest,
    collective::{Collective, Done, SingleProcess},
    config::{RunConfig, Training},
    metrics::{self, Metrics},
    run::{Event, Outcome, Run},
};

use crate::{
    aligned,
    run::{bytes, config, workplace},
};

/// One of two threads that stand for processes.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) rank: usize,
    to_other: Sender<Message>,
    from_other: Receiver<Message>,
    /// Bytes of the numbers that were gathered so far.
    gathered: Arc<AtomicUsize>,
}

enum Message {
    Gradient(Numbers),
    Slice(ParameterSlice),
    Numbers(Vec<f64>),
    Bytes(Vec<u8>),
}

/// Both ends of a pair.
pub(crate) fn pair() -> [Pair; 2] {
    let (to_second, from_first) = channel();
    let (to_first, from_second) = channel();
    [
        Pair { rank: 0, to_other: to_second, from_other: from_second, gathered: Arc::default() },
        Pair { rank: 1, to_other: to_first, from_other: from_first, gathered: Arc::default() },
    ]
}

impl Pair {
    fn exchange(&self, message: Message) -> Result<Message, TrainError> {
        self.to_other.send(message).map_err(|error| TrainError::Collective(error.to_string().into()))?;
        self.from_other.recv().map_err(|error| TrainError::Collective(error.into()))
    }
}

impl Exchange for Pair {
    fn start_all_reduce(&mut self, mut numbers: Numbers) -> Result<Box<dyn Pending>, ExchangeError> {
        let own = Message::Gradient(numbers.copied()?);
        let Message::Gradient(other) = self.exchange(own)? else { panic!("not in step") };
        numbers.add(&other)?;
        Ok(Box::new(Done))
    }

    fn start_reduce_scatter(&mut self, numbers: Numbers, _bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        self.start_all_reduce(numbers)
    }

    fn start_all_gather(&mut self, mut numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        let size = numbers.tensor_mut().kind().elt_size_in_bytes();
        self.gathered.fetch_add(bounds[2] * size, Ordering::Relaxed);
        let of = |rank: usize| numbers.part(bounds[rank]..bounds[rank + 1]);
        let own = Message::Gradient(of(self.rank)?.copied()?);
        let Message::Gradient(other) = self.exchange(own)? else { panic!("not in step") };
        of(1 - self.rank)?.copy_from(&other)?;
        Ok(Box::new(Done))
    }
}

impl Collective for Pair {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        2
    }

    fn sum_all(&mut self, values: &mut [f64]) -> Result<(), TrainError> {
        let Message::Numbers(others) = self.exchange(Message::Numbers(values.to_vec()))? else { panic!("not in step") };
        values.iter_mut().zip(others).for_each(|(value, other)| *value += other);
        Ok(())
    }

    fn broadcast(&mut self, slice: &mut ParameterSlice, root: usize) -> Result<(), TrainError> {
        let mut own = slice.zeros_like()?;
        own.copy_from(slice)?;
        let Message::Slice(other) = self.exchange(Message::Slice(own))? else { panic!("not in step") };
        if self.rank != root {
            slice.copy_from(&other)?;
        }
        Ok(())
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        let Message::Bytes(other) = self.exchange(Message::Bytes(own.clone()))? else { panic!("not in step") };
        Ok(if self.rank == 0 { vec![own, other] } else { vec![other, own] })
    }
}

/// What a rank has to tell: how its run ended, after how many steps, and the losses that it saw.
pub(crate) type Told = (Outcome, u64, Vec<f64>);

/// Trains with two ranks, of which the second is asked to stop after `stop_at` steps.
pub(crate) fn train_in_two(config: &RunConfig, kind: Training, stop_at: u64) -> [Told; 2] {
    train_in_two_until(config, kind, move |event| matches!(event, Event::Step(metrics) if metrics.step == stop_at))
}

/// Trains with two ranks, of which the second is asked to stop when `stop` says so.
pub(crate) fn train_in_two_until(
    config: &RunConfig,
    kind: Training,
    stop: impl Fn(&Event<'_>) -> bool + Clone + Send + 'static,
) -> [Told; 2] {
    let ranks = pair().map(|process| {
        let (config, is_due) = (config.clone(), stop.clone());
        thread::spawn(move || {
            let rank = process.rank;
            let mut run = aligned::open_with(&config, kind, process).unwrap();
            let (stop, mut losses) = (AtomicBool::new(false), Vec::new());
            let outcome = run.train(&stop, |event| {
                if let Event::Step(metrics) = event {
                    losses.push(metrics.loss);
                }
                stop.store(rank == 1 && is_due(&event), Ordering::Relaxed);
            });
            (outcome.unwrap(), run.steps_made(), losses)
        })
    });
    ranks.map(|rank| rank.join().unwrap())
}

/// The numbers of the newest checkpoint: weights, moments and the moving average.
fn numbers(config: &RunConfig) -> Vec<f32> {
    let mut numbers = Vec::new();
    for file in bytes(config) {
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        numbers.extend(file[8 + header..].chunks(4).map(|number| f32::from_le_bytes(number.try_into().unwrap())));
    }
    numbers
}

#[test]
fn two_ranks_train_to_the_weights_of_one() {
    let folder = workplace();
    for (kind, keys) in [
        (Training::Pretrain, "steps = 6\nema_decay = 0.9"),
        // Shares of three and four rows, in pieces of two.
        (Training::Pretrain, "steps = 6\nbatch_size = 7\nmicro_batch_size = 2"),
        // Rows of a share are padded to the longest of the whole batch.
        (Training::Sft, "steps = 6\nstratified_t = true"),
        (Training::Pretrain, "steps = 6\nbatch_size = 7\nmicro_batch_size = 2\nshard = \"gradient\""),
        (Training::Pretrain, "steps = 6\nbatch_size = 5\nmicro_batch_size = 1\nema_decay = 0.9\nshard = \"weights\""),
        // One rank has no row.
        (Training::Pretrain, "steps = 6\nbatch_size = 1"),
        (Training::Pretrain, "steps = 6\nbatch_size = 1\nshard = \"weights\""),
    ] {
        let name = |ranks: &str| format!("{ranks}-{kind:?}-{}", keys.len());
        // Of a gradient that is next to nothing, AdamW makes a whole step in the direction of its rounding; a large eps
        // keeps it from that.
        let keys = &format!("{keys}\noptimizer.eps = 1e-3");
        let one = config(folder.path(), kind, &name("one"), keys);
        let whole = Run::open(one.clone(), kind).unwrap().train(&AtomicBool::new(false), |_| ()).unwrap();
        assert!(matches!(whole, Outcome::Finished(_)));
        let two = config(folder.path(), kind, &name("two"), keys);
        let told = train_in_two(&two, kind, 0);
        for (outcome, steps, losses) in &told {
            assert_eq!((outcome, *steps), (&Outcome::Finished(two.out.join("model")), 6));
            assert_eq!(losses, &told[0].2, "the ranks tell different losses");
        }
        let (expected, found) = (numbers(&one), numbers(&two));
        assert_eq!(expected.len(), found.len());
        let largest = expected.iter().map(|number| number.abs()).fold(0.0, f32::max);
        for (expected, found) in expected.iter().zip(&found) {
            assert!((expected - found).abs() <= 1e-6 * largest, "{kind:?} {keys}: {found}, not {expected}");
        }
        let lines = |config: &RunConfig| metrics::read(&config.out.join("metrics.jsonl")).unwrap();
        assert_eq!(lines(&two).len(), 6);
        for (one, two) in lines(&one).iter().zip(lines(&two)) {
            let off = (one.loss - two.loss).abs() / one.loss + (one.grad_norm - two.grad_norm).abs() / one.grad_norm;
            assert!(off <= 1e-5, "{kind:?} {keys}: {two:?}, not {one:?}");
            assert_eq!(one.tokens, two.tokens);
            assert_eq!(one.validation_bits_per_token.is_some(), two.validation_bits_per_token.is_some());
        }
    }
}

#[test]
fn two_ranks_align_and_distil_as_one_does() {
    let folder = aligned::workplace();
    let short = aligned::SHORT;
    let distillation = "gen_length = 8, block_length = 4";
    for (case, (kind, keys)) in [
        (Training::Preference, "data = \"pairs.jsonl\"".to_owned()),
        (Training::Distillation, "data = \"sft\"\ndistillation.objective = \"cap\"".to_owned()),
        (
            Training::Distillation,
            format!("data = \"prompts.jsonl\"\ndistillation = {{ objective = \"d3llm\", {distillation} }}"),
        ),
        (Training::Rl, format!("rl = {{ objective = \"espo\", {short} }}")),
        (Training::Rl, format!("shard = \"weights\"\nrl = {{ objective = \"espo\", {short} }}")),
        (Training::Preference, "data = \"pairs.jsonl\"\nshard = \"gradient\"".to_owned()),
        (Training::Distillation, "data = \"sft\"\nshard = \"weights\"\ndistillation.objective = \"cap\"".to_owned()),
        (
            Training::Rl,
            format!("adapter = {{ r = 2, lora_dropout = 0.1 }}\nrl = {{ objective = \"diffu_grpo\", {short} }}"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let keys = format!("{keys}\noptimizer.eps = 1e-3");
        let one = aligned::config(folder.path(), kind, &format!("one-{case}"), &keys);
        aligned::open_with(&one, kind, SingleProcess).unwrap().train(&AtomicBool::new(false), |_| ()).unwrap();
        let two = aligned::config(folder.path(), kind, &format!("two-{case}"), &keys);
        train_in_two(&two, kind, 0);
        let lines = |config: &RunConfig| metrics::read(&config.out.join("metrics.jsonl")).unwrap();
        assert_eq!((lines(&one).len(), lines(&two).len()), (6, 6));
        for (one, two) in lines(&one).iter().zip(lines(&two)) {
            assert_eq!((one.tokens, one.details.len()), (two.tokens, two.details.len()));
            let numbers = |step: &Metrics| -> Vec<f64> {
                [step.loss, step.grad_norm].into_iter().chain(step.details.values().copied()).collect()
            };
            for (one, two) in numbers(one).into_iter().zip(numbers(&two)) {
                // The margins of preferences begin at 0.
                assert!((one - two).abs() <= 1e-4 * one.abs() + 1e-6, "{keys}: {two}, not {one}");
            }
        }
        // What was computed before the first step.
        for name in ["reference.jsonl", "trajectories.jsonl"] {
            let read = |config: &RunConfig| fs::read_to_string(config.out.join(name)).ok();
            assert_eq!(read(&one), read(&two), "{keys}");
        }
    }
}

#[test]
fn weights_are_gathered_in_the_dtype_of_computation_and_no_bit_differs() {
    let folder = workplace();
    let train = |dtype: &str, shard: &str, steps: u64| {
        let keys = format!("steps = {steps}\ndtype = \"{dtype}\"\nshard = \"{shard}\"");
        let config = config(folder.path(), Training::Pretrain, &format!("{dtype}-{shard}-{steps}"), &keys);
        let [first, second] = pair().map(|process| {
            let (config, gathered) = (config.clone(), process.gathered.clone());
            thread::spawn(move || {
                let mut run = aligned::open_with(&config, Training::Pretrain, process).unwrap();
                run.train(&AtomicBool::new(false), |_| ()).unwrap();
                gathered.load(Ordering::Relaxed)
            })
        });
        let sent = first.join().unwrap();
        assert_eq!(sent, second.join().unwrap());
        (sent, numbers(&config))
    };
    let mut of_a_step = Vec::new();
    for dtype in ["f32", "bf16"] {
        let (none, whole) = train(dtype, "none", 3);
        let (three, divided) = train(dtype, "weights", 3);
        assert!(none == 0 && whole == divided, "{dtype}");
        // What the end gathers, for the model that is left, is the same for both.
        let (two, _) = train(dtype, "weights", 2);
        of_a_step.push(three - two);
    }
    assert!(of_a_step[1] > 0 && of_a_step[0] == 2 * of_a_step[1], "{of_a_step:?}");
}

/// A process whose sum of gradients is off, as another processor makes their norm.
#[derive(Debug)]
struct Drifting(Pair);

impl Exchange for Drifting {
    fn start_all_reduce(&mut self, mut numbers: Numbers) -> Result<Box<dyn Pending>, ExchangeError> {
        let count = numbers.tensor_mut().numel();
        let pending = self.0.start_all_reduce(numbers.part(0..count)?)?;
        let off = numbers.copied()?;
        if self.rank() == 1 {
            numbers.add(&off)?;
        }
        Ok(pending)
    }

    fn start_reduce_scatter(&mut self, numbers: Numbers, _bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        self.start_all_reduce(numbers)
    }

    fn start_all_gather(&mut self, numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        self.0.start_all_gather(numbers, bounds)
    }
}

impl Collective for Drifting {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn world_size(&self) -> usize {
        self.0.world_size()
    }

    fn sum_all(&mut self, values: &mut [f64]) -> Result<(), TrainError> {
        self.0.sum_all(values)
    }

    fn broadcast(&mut self, slice: &mut ParameterSlice, root: usize) -> Result<(), TrainError> {
        self.0.broadcast(slice, root)
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        self.0.gather(own)
    }
}

#[test]
fn gradients_are_clipped_by_the_norm_of_one_rank() {
    let folder = workplace();
    let config = config(folder.path(), Training::Pretrain, "norm", "steps = 1");
    let ranks = pair().map(|process| {
        let config = config.clone();
        thread::spawn(move || {
            let mut run = Run::open_with(config, Training::Pretrain, Box::new(Drifting(process))).unwrap();
            let mut norm = None;
            let observe = |event: Event<'_>| {
                if let Event::Step(metrics) = event {
                    norm = Some(metrics.grad_norm);
                }
            };
            run.train(&AtomicBool::new(false), observe).unwrap();
            norm.unwrap()
        })
    });
    let [first, second] = ranks.map(|rank| rank.join().unwrap());
    assert_eq!(first, second);
}

#[test]
fn ranks_stop_at_one_step_whoever_is_asked_and_go_on_from_it() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let whole = config(folder.path(), kind, "whole", "steps = 6");
    train_in_two(&whole, kind, 0);
    let parts = config(folder.path(), kind, "parts", "steps = 6");
    for (outcome, steps, _) in train_in_two(&parts, kind, 3) {
        assert_eq!((outcome, steps), (Outcome::Stopped(parts.out.join("checkpoints/step-00000003")), 3));
    }
    assert_eq!(newest(&parts.out.join("checkpoints")).unwrap().whole.unwrap().1.step, 3);
    train_in_two(&parts, kind, 0);
    assert!(bytes(&whole) == bytes(&parts));
}

#[test]
fn a_rank_that_is_lost_is_an_error_of_the_other() {
    let folder = workplace();
    let config = config(folder.path(), Training::Pretrain, "run", "steps = 2");
    let [first, second] = pair();
    drop(second);
    let error = Run::open_with(config, Training::Pretrain, Box::new(first)).unwrap_err();
    assert!(matches!(error, TrainError::Collective(_)), "{error}");
}
