//! The memory of a process of a training run.

use serde::Serialize;

use super::{F32, ModelShape, Run, Sharding};

/// Bytes allowed for the device's context, and for what comes and goes, such as one matrix that is cast or dequantised.
pub const RESERVED: f64 = 1.5e9;

/// Bytes of memory of a process, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Memory {
    /// Weights: trained and frozen ones, and those that are gathered while blocks are computed.
    pub weights: f64,
    /// The gradient of what is trained, in f32, and those parts of it that are summed while it is divided.
    pub gradient: f64,
    /// The two moments of AdamW, in f32.
    pub optimizer: f64,
    /// What blocks keep for the backward pass.
    pub activations: f64,
    /// [`RESERVED`], the casts of trained weights, and the head's gradient while it is computed.
    pub buffers: f64,
}

impl Memory {
    /// The memory of a process of `run` if `sharding` is divided.
    pub(super) fn new(shape: &ModelShape, run: &Run, sharding: Sharding) -> Self {
        let (trained, share) = (run.trained_parameters as f64, 1.0 / run.ranks.get() as f64);
        let whole = F32 * trained;
        let divided = whole * share;
        let (weights, gradient, optimizer) = match sharding {
            Sharding::None => (whole, whole, 2.0 * whole),
            Sharding::Optimizer => (whole, whole, 2.0 * divided),
            Sharding::Gradient => (whole, divided + summed(shape, run), 2.0 * divided),
            Sharding::Weights => (divided + gathered(shape, run), divided + summed(shape, run), 2.0 * divided),
        };
        Self {
            weights: weights + run.frozen.map_or(0.0, |frozen| frozen.bytes),
            gradient,
            optimizer,
            activations: activations(shape, run),
            buffers: RESERVED + casts(shape, run),
        }
    }

    /// Bytes altogether.
    pub fn total(&self) -> f64 {
        self.weights + self.gradient + self.optimizer + self.activations + self.buffers
    }
}

/// Bytes that blocks keep of the rows that are computed together. With checkpointing these are the inputs of all blocks, and
/// what one block keeps.
fn activations(shape: &ModelShape, run: &Run) -> f64 {
    let (blocks, tokens) = (shape.num_hidden_layers as f64, run.rows_together() as f64 * run.length as f64);
    let (input, saved) = (shape.hidden_size as f64, shape.saved_per_token as f64);
    let numbers = if run.activation_checkpointing { blocks * input + saved } else { blocks * saved };
    numbers * tokens * run.dtype_bytes as f64
}

/// Bytes of the weights that are gathered at a time: in f32 a block and what is outside of the blocks, and the next block in the
/// dtype of computation, in which it is sent.
fn gathered(shape: &ModelShape, run: &Run) -> f64 {
    let of_block = F32 + run.dtype_bytes as f64;
    match run.frozen {
        Some(_) => of_block * run.trained_of_block(shape),
        None => of_block * shape.block_parameters as f64 + F32 * shape.outer_parameters as f64,
    }
}

/// Bytes of the gradients that are not divided yet: of the block that is computed, and of what was computed before and is on
/// its way, a block or the head.
fn summed(shape: &ModelShape, run: &Run) -> f64 {
    let block = F32 * run.trained_of_block(shape);
    match run.frozen {
        Some(_) => 2.0 * block,
        None => block + block.max(F32 * shape.head_parameters as f64),
    }
}

/// Bytes of what the graph has of f32 weights that are trained in another dtype, all blocks' or one's, and of the head's
/// gradient, which is a product in that dtype before it is added in f32.
fn casts(shape: &ModelShape, run: &Run) -> f64 {
    if run.frozen.is_some() {
        return 0.0;
    }
    let (bytes, head) = (run.dtype_bytes as f64, shape.head_parameters as f64);
    if bytes >= F32 {
        return F32 * head;
    }
    let blocks = match run.activation_checkpointing {
        true => shape.block_parameters,
        false => shape.parameters.saturating_sub(shape.outer_parameters),
    };
    bytes * blocks as f64 + (bytes + F32) * head
}
