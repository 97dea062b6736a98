//! Block steps by CUDA graphs. `graph` says which are recorded; here they are computed.

use llada_core::predictor::{CacheSlot, Row};
use tch::Tensor;

use super::{
    Transformer,
    graph::{Graphs, Key, Turn},
    layout::Layout,
};
use crate::{
    ModelConfig, ModelError, Precision,
    layers::{kv_cache::KvCaches, packing::Packing},
    torch::{
        cuda_graph::{CudaGraph, GraphPool},
        tensor::upload,
    },
};

/// The graphs of a model.
pub(super) struct BlockSteps {
    /// Dropped before the pool in which they are.
    graphs: Graphs<RecordedStep>,
    pool: GraphPool,
}

/// A graph with the memory that its steps begin and end with.
struct RecordedStep {
    inputs: StepInputs,
    /// (tokens, d): the normed last hidden states.
    states: Tensor,
    graph: CudaGraph,
}

/// What differs between two steps of the same rows.
pub(super) struct StepInputs {
    /// (3, tokens) i64: ids, positions and places.
    numbers: Tensor,
    ids: Tensor,
    packing: Packing,
}

impl StepInputs {
    pub(super) fn new(layout: &Layout<'_>, caches: &KvCaches, device: tch::Device) -> Result<Self, ModelError> {
        let pieces = &layout.pieces;
        let mut numbers = layout.ids.clone();
        numbers.extend(pieces.iter().flat_map(|piece| piece.computed.clone().map(|token| piece.position(token))));
        for (row, piece) in pieces.iter().enumerate() {
            let first = caches.of_row(row).map_or(0, |cache| caches.memory.first_place(cache.lane));
            numbers.extend(piece.computed.clone().map(|token| (first + token) as i64));
        }
        let numbers = upload(&numbers, device)?.f_view([3, -1])?;
        let [ids, positions, places] = [0, 1, 2].map(|row| numbers.f_select(0, row));
        let packing = Packing::movable(pieces, positions?, places?);
        Ok(Self { ids: ids?, packing, numbers })
    }

    /// Takes the values of `other`, which is of as many tokens, into the memory of this.
    pub(super) fn set(&mut self, other: &Self) -> Result<(), ModelError> {
        self.numbers.f_copy_(&other.numbers)?;
        Ok(())
    }

    /// Computes the normed last hidden states of all tokens.
    ///
    /// # Shapes
    /// -> (tokens, d).
    pub(super) fn run(&self, model: &Transformer, caches: &mut KvCaches) -> Result<Tensor, ModelError> {
        model.through_layers(&self.ids, &self.packing, None, Some(caches))
    }
}

impl BlockSteps {
    /// Creates the graphs of a model, or `None` if it has none: on the CPU, in a build without CUDA's headers, and where a
    /// layer reads a tensor or copies to the device, as a mixture of experts and NF4 do.
    pub(super) fn open(
        config: &ModelConfig,
        precision: Precision,
        device: tch::Device,
    ) -> Result<Option<Self>, ModelError> {
        let is_dense = (0..config.num_hidden_layers).all(|layer| config.moe(layer).is_none());
        if !is_dense || !matches!(precision, Precision::Float(_)) {
            return Ok(None);
        }
        Ok(GraphPool::open(device)?.map(|pool| Self { graphs: Graphs::new(), pool }))
    }

    /// Drops the graphs over the memory of `slot`.
    pub(super) fn release(&mut self, slot: CacheSlot) {
        self.graphs.release(slot);
    }
}

impl Transformer {
    /// Computes `rows`, a block step of this key.
    ///
    /// Unlike elsewhere, the last layer computes all tokens, since the wanted ones are others at each step.
    ///
    /// # Shapes
    /// -> (wanted or more, d) for each row.
    pub(super) fn run_block_step(
        &mut self,
        key: &Key,
        rows: &[&Row<'_>],
        caches: &mut KvCaches,
    ) -> Result<Vec<Tensor>, ModelError> {
        let layout = Layout::new(&self.config, rows);
        let inputs = StepInputs::new(&layout, caches, self.device)?;
        let wanted = inputs.packing.select(&layout.selections, self.device)?;
        let Some(mut steps) = self.block_steps.take() else { return self.run_packed(rows, caches) };
        let states = self.by_graph(&mut steps, key, inputs, caches);
        // What has failed once to be recorded is launched kernel by kernel from then on.
        self.block_steps = self.graph_failure.is_none().then_some(steps);
        let states = states?.f_index_select(0, &wanted.tokens)?;
        wanted.packing.spans.iter().map(|span| span.of(&states)).collect()
    }

    /// # Shapes
    /// -> (tokens, d), valid until the next graph is replayed.
    fn by_graph(
        &mut self,
        steps: &mut BlockSteps,
        key: &Key,
        inputs: StepInputs,
        caches: &mut KvCaches,
    ) -> Result<Tensor, ModelError> {
        match steps.graphs.turn(key) {
            Turn::Plain => inputs.run(self, caches),
            Turn::Record => match steps.pool.record(|| inputs.run(self, caches)) {
                Ok((graph, states)) => {
                    graph.replay()?;
                    steps.graphs.keep(key, RecordedStep { inputs, states: states.shallow_clone(), graph });
                    Ok(states)
                }
                Err(error) => {
                    self.graph_failure = Some(error);
                    inputs.run(self, caches)
                }
            },
            Turn::Replay(recorded) => {
                recorded.inputs.set(&inputs)?;
                recorded.graph.replay()?;
                Ok(recorded.states.shallow_clone())
            }
        }
    }
}

#[cfg(test)]
mod tests;
