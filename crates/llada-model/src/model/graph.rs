//! Which block steps are kept as CUDA graphs: what a graph depends on, when a step is recorded, and when a graph is dropped.
//!
//! A block step computes a block of each row, and reads the keys and values of the others from its cache. The steps of an
//! answer launch the same kernels over the same memory, whatever block they are at; only the ids, positions and places
//! change. So a step is recorded once for a set of rows.

use llada_core::predictor::{CacheSlot, Recompute, Row};

use super::layout::computed;
use crate::{
    AttentionPattern, ModelConfig,
    layers::{kv_cache::KvCaches, rope::Rope},
};

/// The number of sets of rows whose steps are kept.
///
/// A set is met again as long as no row joins or leaves, and twice as often where an engine takes its rows by turns. A graph
/// holds some thousand kernels, so more than a few are memory that waits for sets which do not come back.
const KEPT: usize = 8;

/// What a graph depends on besides the values in its inputs: the memory that it reads and writes, and all sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The addresses of the tables of the rotary embedding.
    tables: [usize; 2],
    rows: Vec<RowKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct RowKey {
    slot: CacheSlot,
    /// The addresses of the keys and values of all lanes beside the row's, and the place of its first token in them.
    memory: Vec<usize>,
    first: usize,
    /// The number of tokens of the row, and of those that are computed.
    length: usize,
    computed: usize,
}

impl Key {
    /// Returns the key of the present forward over `rows`, or `None` if it is no block step of which a graph can be made.
    ///
    /// That takes full attention, since under another pattern the block decides which kernels are launched.
    pub(super) fn of(config: &ModelConfig, rows: &[&Row<'_>], caches: &KvCaches, rope: &Rope) -> Option<Self> {
        if config.attention != AttentionPattern::Full || rows.is_empty() {
            return None;
        }
        let of_row = |row: &&Row<'_>| {
            let (slot, length) = (row.cache?, row.ids.len());
            let is_step = matches!(row.recompute, Recompute::Span(_)) && !row.shadowed && !row.measures_drift;
            let cache = caches.get(slot).filter(|_| is_step && caches.is_filled(slot, config.num_hidden_layers))?;
            let memory = caches.memory.addresses(cache.lane).collect();
            let first = caches.memory.first_place(cache.lane);
            Some(RowKey { slot, memory, first, length, computed: computed(config, row).len() })
        };
        Some(Self { tables: rope.memory(), rows: rows.iter().map(of_row).collect::<Option<_>>()? })
    }

    fn uses(&self, slot: CacheSlot) -> bool {
        self.rows.iter().any(|row| row.slot == slot)
    }
}

/// How a block step is computed.
pub(super) enum Turn<'a, G> {
    /// Kernel by kernel: libtorch prepares its libraries at the first step of a kind, which cannot be recorded.
    Plain,
    /// It is recorded, and then replayed.
    Record,
    /// By this graph.
    Replay(&'a mut G),
}

/// The sets of rows whose steps were computed lately, the latest last, with their graphs.
pub(super) struct Graphs<G> {
    kept: Vec<(Key, Option<G>)>,
}

impl<G> Graphs<G> {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new() }
    }

    /// Returns how the next step of `key` is computed.
    pub(super) fn turn(&mut self, key: &Key) -> Turn<'_, G> {
        let found = self.kept.iter().position(|(kept, _)| kept == key);
        let is_first = found.is_none();
        let entry = found.map_or_else(|| (key.clone(), None), |place| self.kept.remove(place));
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push(entry);
        match self.kept.last_mut() {
            Some((_, Some(graph))) => Turn::Replay(graph),
            _ if is_first => Turn::Plain,
            _ => Turn::Record,
        }
    }

    /// Keeps the graph of a step.
    pub(super) fn keep(&mut self, key: &Key, graph: G) {
        if let Some((_, kept)) = self.kept.iter_mut().find(|(kept, _)| kept == key) {
            *kept = Some(graph);
        }
    }

    /// Drops the graphs over the memory of `slot`.
    pub(super) fn release(&mut self, slot: CacheSlot) {
        self.kept.retain(|(key, _)| !key.uses(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slots: &[usize], computed: usize) -> Key {
        let row = |&slot| {
            let (slot, memory) = (CacheSlot(slot), vec![slot, 100 + slot]);
            RowKey { slot, memory, first: 0, length: 64, computed }
        };
        Key { tables: [1, 2], rows: slots.iter().map(row).collect() }
    }

    /// Takes a turn, and records a graph of this name if one is due.
    fn step(graphs: &mut Graphs<&'static str>, key: &Key, name: &'static str) -> Option<&'static str> {
        match graphs.turn(key) {
            Turn::Plain => None,
            Turn::Record => {
                graphs.keep(key, name);
                Some(name)
            }
            Turn::Replay(graph) => Some(graph),
        }
    }

    #[test]
    fn a_step_is_recorded_the_second_time_and_replayed_from_then_on() {
        let mut graphs = Graphs::new();
        let (one, other) = (key(&[0, 1], 8), key(&[0, 1], 16));
        assert_eq!(step(&mut graphs, &one, "a"), None);
        assert_eq!(step(&mut graphs, &other, "b"), None);
        assert_eq!(step(&mut graphs, &one, "c"), Some("c"));
        assert_eq!(step(&mut graphs, &one, "d"), Some("c"));
        assert_eq!(step(&mut graphs, &other, "e"), Some("e"));
        assert_eq!(step(&mut graphs, &one, "f"), Some("c"));
    }

    #[test]
    fn a_graph_is_of_one_set_of_rows_in_one_order_over_one_memory() {
        let mut graphs = Graphs::new();
        let recorded = key(&[0, 1], 8);
        for _ in 0..2 {
            step(&mut graphs, &recorded, "a");
        }
        let mut elsewhere = recorded.clone();
        elsewhere.rows[1].memory[0] += 1;
        let longer = Key { tables: [1, 3], ..recorded.clone() };
        let (mut grown, mut in_another_lane) = (recorded.clone(), recorded.clone());
        grown.rows[0].length += 1;
        in_another_lane.rows[0].first += 64;
        for other in [key(&[1, 0], 8), key(&[0], 8), key(&[0, 1, 1], 8), elsewhere, longer, grown, in_another_lane] {
            assert_eq!(step(&mut graphs, &other, "b"), None, "{other:?}");
        }
        assert_eq!(step(&mut graphs, &recorded, "c"), Some("a"));
    }

    #[test]
    fn the_graphs_of_a_released_slot_are_dropped_and_no_others() {
        let mut graphs = Graphs::new();
        let keys = [key(&[0, 1], 8), key(&[2], 8), key(&[1], 8)];
        for _ in 0..2 {
            for key in &keys {
                step(&mut graphs, key, "a");
            }
        }
        graphs.release(CacheSlot(1));
        assert_eq!(keys.each_ref().map(|key| step(&mut graphs, key, "b")), [None, Some("a"), None]);
    }

    #[test]
    fn the_sets_that_were_met_last_are_kept() {
        let mut graphs = Graphs::new();
        let keys: Vec<Key> = (0..=KEPT).map(|slot| key(&[slot], 8)).collect();
        for key in &keys[..KEPT] {
            step(&mut graphs, key, "a");
            step(&mut graphs, key, "a");
        }
        assert_eq!(step(&mut graphs, &keys[0], "b"), Some("a"));
        assert_eq!(step(&mut graphs, &keys[KEPT], "b"), None);
        assert_eq!(graphs.kept.len(), KEPT);
        assert_eq!(step(&mut graphs, &keys[0], "b"), Some("a"));
        assert_eq!(step(&mut graphs, &keys[1], "b"), None);
    }
}
