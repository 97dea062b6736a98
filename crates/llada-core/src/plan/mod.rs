//! What a step of training takes, on paper: memory, traffic and time of each process of a run, for each way in which they may
//! divide its state (ZeRO, Rajbhandari et al. 2020, arXiv 1910.02054).
//!
//! Everything here is arithmetic over a model's counts. Nothing is measured, and what is left out is said where a number is
//! computed.

mod memory;

use std::num::NonZero;

use serde::Serialize;

pub use self::memory::{Memory, RESERVED};

const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// Bytes of a number in f32, in which gradients are summed and the state of the optimizer is kept.
const F32: f64 = 4.0;

/// The counts of a model that decide what its training takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelShape {
    /// Number of parameters.
    pub parameters: usize,
    /// Number of parameters that a token is multiplied by: those of the embedding are looked up, and of experts only those
    /// count that a token goes to.
    pub active_parameters: usize,
    /// Number of parameters of the largest block.
    pub block_parameters: usize,
    /// Number of parameters outside of the blocks: embedding, head and final norm.
    pub outer_parameters: usize,
    /// Number of parameters of the head's matrix.
    pub head_parameters: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the queries of all heads together.
    pub query_size: usize,
    /// The numbers that the largest block keeps of each token for the backward pass.
    pub saved_per_token: usize,
}

/// The weights that stay as they are, beside an adapter that is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frozen {
    /// Bytes of all of them.
    pub bytes: f64,
    /// Bytes of the largest block.
    pub block_bytes: f64,
    /// Bytes of those outside of the blocks.
    pub outer_bytes: f64,
}

/// The settings of a run that decide what it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// The number of processes.
    pub ranks: NonZero<usize>,
    /// The number of rows of a step, of all processes together.
    pub batch_size: usize,
    /// The number of rows that a process computes together.
    pub micro_batch_size: NonZero<usize>,
    /// The number of tokens of a row.
    pub length: usize,
    /// Bytes of a number in the dtype of computation.
    pub dtype_bytes: usize,
    /// The number of parameters that are trained: the model's, or an adapter's.
    pub trained_parameters: usize,
    /// The weights that are not; none if all are trained.
    pub frozen: Option<Frozen>,
    /// Whether blocks are computed twice to save memory (Chen et al. 2016, arXiv 1604.06174).
    pub activation_checkpointing: bool,
}

/// What a process computes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Machine {
    /// Bytes of memory.
    pub memory_bytes: f64,
    /// Floating-point operations a second at most.
    pub flops: f64,
    /// The share of them that training reaches.
    pub utilisation: f64,
    /// Bytes a second that a process sends to the others while it receives as many.
    pub bandwidth: f64,
}

/// What the processes of a run divide among them, instead of each keeping the whole. Each also divides what those before it
/// do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Sharding {
    /// Nothing: data parallelism. Gradients are summed by an all-reduce.
    None,
    /// The moments of the optimizer (ZeRO-1). Each process sends its share of the moved weights, in f32.
    Optimizer,
    /// The gradient too (ZeRO-2), which is summed after each micro-batch.
    Gradient,
    /// The weights too (ZeRO-3). Those of a block are gathered in the dtype of computation before they are used, forwards and
    /// backwards; while one block is computed, the next is on its way. Blocks are computed twice.
    Weights,
}

impl Sharding {
    /// All of them, from what divides least.
    pub const ALL: [Self; 4] = [Self::None, Self::Optimizer, Self::Gradient, Self::Weights];
}

/// What a step takes of each process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// What is divided.
    pub sharding: Sharding,
    /// Whether blocks are computed twice.
    pub activation_checkpointing: bool,
    /// The memory, by what it is for.
    pub memory: Memory,
    /// Bytes of memory altogether.
    pub total_bytes: f64,
    /// Whether the machine has as much memory.
    pub fits: bool,
    /// The largest number of rows that could be computed together.
    pub rows_that_fit: usize,
    /// Bytes that a process sends in a step. It receives as many.
    pub traffic_bytes: f64,
    /// Seconds of computing.
    pub compute_seconds: f64,
    /// Seconds of a step in which nothing is computed, as what is sent has not arrived.
    pub waiting_seconds: f64,
    /// Tokens that all processes together are trained on in a day.
    pub tokens_per_day: f64,
}

impl Plan {
    /// What a step of `run` takes of each process if `sharding` is divided.
    pub fn new(shape: &ModelShape, run: &Run, machine: &Machine, sharding: Sharding) -> Self {
        // One process has nothing to divide.
        let divided = if run.ranks.get() == 1 { Sharding::None } else { sharding };
        let activation_checkpointing = run.activation_checkpointing || divided == Sharding::Weights;
        let run = &Run { activation_checkpointing, ..*run };
        let memory = Memory::new(shape, run, divided);
        let total_bytes = memory.total();
        let per_row = memory.activations / run.rows_together() as f64;
        let free = machine.memory_bytes - (total_bytes - memory.activations);
        let traffic_bytes = traffic(shape, run, sharding);
        let compute_seconds = flop(shape, run) / (machine.flops * machine.utilisation);
        let after = moved(run, sharding);
        let meanwhile = (traffic_bytes - after) / machine.bandwidth;
        let hidden = compute_seconds * hiding(run, sharding);
        let waiting_seconds = after / machine.bandwidth + (meanwhile - hidden).max(0.0);
        let tokens = run.batch_size as f64 * run.length as f64;
        Self {
            sharding,
            activation_checkpointing,
            memory,
            total_bytes,
            fits: total_bytes <= machine.memory_bytes,
            // What is below 0 becomes 0.
            rows_that_fit: (free / per_row) as usize,
            traffic_bytes,
            compute_seconds,
            waiting_seconds,
            tokens_per_day: tokens / (compute_seconds + waiting_seconds) * SECONDS_OF_A_DAY,
        }
    }

    /// Seconds of a step.
    pub fn seconds(&self) -> f64 {
        self.compute_seconds + self.waiting_seconds
    }
}

impl Run {
    /// The number of rows of a step of the process that has most.
    pub fn rows_per_rank(&self) -> usize {
        self.batch_size.div_ceil(self.ranks.get())
    }

    /// The number of rows that a process computes together, which are no more than it has.
    fn rows_together(&self) -> usize {
        self.micro_batch_size.get().min(self.rows_per_rank()).max(1)
    }

    /// The number of passes over the model in a step.
    fn micro_batches(&self) -> usize {
        self.rows_per_rank().div_ceil(self.micro_batch_size.get())
    }

    /// The share of the other processes in what is divided: (N − 1) / N.
    fn others(&self) -> f64 {
        let ranks = self.ranks.get() as f64;
        (ranks - 1.0) / ranks
    }

    /// The number of trained parameters of the largest block. Those of an adapter are taken to be in equal blocks.
    fn trained_of_block(&self, shape: &ModelShape) -> f64 {
        match self.frozen {
            Some(_) => self.trained_parameters as f64 / shape.num_hidden_layers.max(1) as f64,
            None => shape.block_parameters as f64,
        }
    }
}

/// Bytes that a process sends in a step of `run`, and receives. Of the bytes that are summed or gathered, an all-reduce moves
/// 2 (N − 1) / N, and a broadcast of every process's share (N − 1) / N. Sums are all-reduces, as gloo has no cheaper
/// reduce-scatter, and in f32. Backwards, what the forward pass used last is still there. The few bytes by which processes agree are not
/// counted.
pub fn traffic(shape: &ModelShape, run: &Run, sharding: Sharding) -> f64 {
    let (trained, passes) = (F32 * run.trained_parameters as f64, run.micro_batches() as f64);
    let outer = if run.frozen.is_some() { 0.0 } else { shape.outer_parameters as f64 };
    let again = (trained - F32 * (outer + run.trained_of_block(shape))).max(0.0);
    let gathered = run.dtype_bytes as f64 / F32;
    run.others()
        * match sharding {
            Sharding::None => 2.0 * trained,
            Sharding::Optimizer => 2.0 * trained + trained,
            Sharding::Gradient => passes * 2.0 * trained + trained,
            Sharding::Weights => passes * (2.0 * trained + gathered * (trained + again)),
        }
}

/// Bytes of them that are sent while nothing is computed: the weights that were moved.
fn moved(run: &Run, sharding: Sharding) -> f64 {
    match sharding {
        Sharding::None | Sharding::Weights => 0.0,
        Sharding::Optimizer | Sharding::Gradient => run.others() * F32 * run.trained_parameters as f64,
    }
}

/// The share of a step's operations during which the rest is sent: the last backward pass, all of them, or all passes.
fn hiding(run: &Run, sharding: Sharding) -> f64 {
    let operations = operations(run);
    let backwards = (operations - 2.0) / operations;
    match sharding {
        Sharding::None | Sharding::Optimizer => backwards / run.micro_batches().max(1) as f64,
        Sharding::Gradient => backwards,
        Sharding::Weights => 1.0,
    }
}

/// Floating-point operations of a step of the process that has most rows.
pub fn flop(shape: &ModelShape, run: &Run) -> f64 {
    let tokens = run.rows_per_rank() as f64 * run.length as f64;
    tokens * (weight_flop(shape, run) + attention_flop(shape, run))
}

/// Floating-point operations of a token with weights: two for each active parameter forwards, two for the slope of the input,
/// two for that of the weight if it is trained, and two more if blocks are computed twice. What an adapter adds is not
/// counted, nor is it taken off that the head computes masked tokens alone.
pub fn weight_flop(shape: &ModelShape, run: &Run) -> f64 {
    shape.active_parameters as f64 * operations(run)
}

/// Operations of a token with a weight.
fn operations(run: &Run) -> f64 {
    let trained = if run.frozen.is_some() { 0.0 } else { 2.0 };
    4.0 + trained + recomputed(run)
}

/// Floating-point operations of a token in attention: two products of two operations with each token of its row, forwards
/// once, backwards twice, and once more if blocks are computed twice.
pub fn attention_flop(shape: &ModelShape, run: &Run) -> f64 {
    let forwards = 4.0 * shape.num_hidden_layers as f64 * shape.query_size as f64 * run.length as f64;
    forwards * (3.0 + recomputed(run) / 2.0)
}

/// Operations with a weight of the second forward pass.
fn recomputed(run: &Run) -> f64 {
    if run.activation_checkpointing { 2.0 } else { 0.0 }
}
