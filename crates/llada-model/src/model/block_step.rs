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
mod tests {
    use std::{ops::Range, path::PathBuf};

    use llada_core::predictor::{MaskPredictor, Recompute};

    use super::*;
    use crate::{Device, Dtype, layers::kv_cache::memory::KvMemory};

    const FAMILIES: [&str; 5] = ["tiny-llada", "tiny-llada-gqa-bf16", "tiny-illada", "tiny-dream", "tiny-smdm"];
    const SLOTS: [CacheSlot; 3] = [CacheSlot(0), CacheSlot(1), CacheSlot(2)];

    fn open(name: &str, memory: KvMemory) -> Result<Transformer, ModelError> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let mut model = Transformer::load(&folder, Device::Cpu, Dtype::F32)?;
        model.kv_caches.memory = memory;
        let (ids, parts) = (tokens(0), places());
        model.forward(&rows(&ids, &parts, None, &[3]))?.rows.iter().for_each(|row| assert!(row.is_some()));
        Ok(model)
    }

    /// Tokens of three rows, which differ from step to step.
    fn tokens(step: u32) -> [Vec<u32>; 3] {
        [40, 33, 21].map(|length| (0..length).map(|place| (place * 7 + 11 * step + length) % 50).collect())
    }

    /// The positions of the last row, which is a part of a sequence.
    fn places() -> Vec<usize> {
        (0..21).map(|place| 2 * place + 1).collect()
    }

    /// The three rows, of which all or `span` is computed, and the states that a beam would have of the first one.
    fn rows<'a>(
        ids: &'a [Vec<u32>; 3],
        parts: &'a [usize],
        span: Option<Range<usize>>,
        wanted: &'a [usize],
    ) -> Vec<Row<'a>> {
        let recompute = span.map_or(Recompute::All, Recompute::Span);
        let row = |index: usize| Row {
            cache: Some(SLOTS[index]),
            recompute: recompute.clone(),
            positions: (index == 2).then_some(parts),
            ..Row::new(&ids[index], wanted)
        };
        vec![row(0), row(1), row(2), row(0)]
    }

    /// Begins a forward over rows with the caches of the model.
    fn begin<'a, 'b>(model: &mut Transformer, rows: &'a [Row<'b>]) -> Result<(KvCaches, Vec<&'a Row<'b>>), ModelError> {
        let mut caches = std::mem::take(&mut model.kv_caches);
        let order = caches.begin(&rows.iter().collect::<Vec<_>>(), model.device)?;
        Ok((caches, order.into_iter().map(|row| &rows[row]).collect()))
    }

    #[test]
    fn inputs_that_are_set_anew_give_the_states_of_any_block() -> Result<(), ModelError> {
        for (name, is_stacked) in FAMILIES.into_iter().flat_map(|name| [(name, false), (name, true)]) {
            let memory = || if is_stacked { KvMemory::stacked() } else { KvMemory::default() };
            let (mut expected_of, mut model) = (open(name, memory())?, open(name, memory())?);
            let mut kept: Option<StepInputs> = None;
            for (step, span, wanted) in [(1, 8..13, vec![8, 10, 12]), (2, 15..20, vec![16]), (3, 3..8, vec![4, 7])] {
                let (ids, parts) = (tokens(step), places());
                let rows = rows(&ids, &parts, Some(span.clone()), &wanted);
                let (mut caches, of_rows) = begin(&mut model, &rows)?;
                let expected = expected_of.forward_packed(&of_rows)?;

                let layout = Layout::new(&model.config, &of_rows);
                let fresh = StepInputs::new(&layout, &caches, model.device)?;
                let selected = fresh.packing.select(&layout.selections, model.device)?;
                let inputs = match kept.take() {
                    Some(mut inputs) => {
                        inputs.set(&fresh)?;
                        inputs
                    }
                    None => fresh,
                };
                let states = inputs.run(&model, &mut caches)?.f_index_select(0, &selected.tokens)?;
                caches.end(model.blocks.len());
                model.kv_caches = caches;
                kept = Some(inputs);
                for (row, (span, expected)) in selected.packing.spans.iter().zip(&expected).enumerate() {
                    // The last layer has other queries beside the wanted ones, in one call of attention.
                    let error = (span.of(&states)? - &expected.states).abs().max().double_value(&[]);
                    let most = if is_stacked { 1e-5 } else { 0.0 };
                    assert!(error <= most, "{name}: step {step}, row {row}: {error}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_key_is_of_block_steps_over_filled_caches_alone() -> Result<(), ModelError> {
        let mut model = open("tiny-llada", KvMemory::default())?;
        let (ids, parts) = (tokens(1), places());
        let key = |model: &mut Transformer, rows: &[Row<'_>]| -> Result<Option<Key>, ModelError> {
            let (mut caches, of_rows) = begin(model, rows)?;
            let key = Key::of(&model.config, &of_rows, &caches, &model.rope);
            caches.end(model.blocks.len());
            model.kv_caches = caches;
            Ok(key)
        };
        let step = rows(&ids, &parts, Some(8..13), &[9]);
        let found = key(&mut model, &step)?;
        assert!(found.is_some());
        // Another block, other wanted positions and other ids launch the same kernels.
        assert_eq!(found, key(&mut model, &rows(&tokens(2), &parts, Some(15..20), &[15, 16]))?);
        assert_ne!(found, key(&mut model, &rows(&ids, &parts, Some(8..14), &[9]))?);
        assert_ne!(found, key(&mut model, &step[..3])?);

        assert_eq!(key(&mut model, &rows(&ids, &parts, None, &[9]))?, None);
        let shadowed = Row { shadowed: true, ..step[0].clone() };
        let measuring = Row { measures_drift: true, ..step[0].clone() };
        let stateless = Row { cache: None, ..step[0].clone() };
        let empty = Row { cache: Some(CacheSlot(7)), ..step[0].clone() };
        for other in [shadowed, measuring, stateless, empty] {
            assert_eq!(key(&mut model, &[step[1].clone(), other])?, None);
        }
        let grown_ids = [0; 41];
        let grown = [Row { ids: &grown_ids, recompute: Recompute::Span(36..41), ..step[0].clone() }];
        let in_new_memory = key(&mut model, &grown)?;
        assert!(in_new_memory.is_some() && in_new_memory != key(&mut model, &step[..1])?);
        model.config.attention = crate::AttentionPattern::BlockCausal { block_length: 8 };
        assert_eq!(key(&mut model, &step)?, None);
        Ok(())
    }
}
