//! Rows whose keys lie side by side, as on a GPU, against rows with memory of their own, as on a CPU.

use std::{ops::Range, path::PathBuf};

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use tch::Tensor;

use crate::{
    Device, Dtype, ModelError, Transformer,
    layers::{
        kv_cache::memory::KvMemory,
        packing::{Packing, Piece},
    },
};

const FAMILIES: [&str; 6] =
    ["tiny-llada", "tiny-llada-gqa-bf16", "tiny-illada", "tiny-dream", "tiny-smdm", "tiny-llada2"];

fn open(name: &str, memory: KvMemory) -> Result<Transformer, ModelError> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut model = Transformer::load(&folder, Device::Cpu, Dtype::F32)?;
    model.kv_caches.memory = memory;
    Ok(model)
}

/// The same rows in both models.
struct Pair {
    name: &'static str,
    stacked: Transformer,
    alone: Transformer,
    forwards: u32,
}

impl Pair {
    /// Computes a row of these slots and lengths each, and checks that both models agree about all of them. Masks 2 and 4 of
    /// the span are wanted.
    fn forward(&mut self, rows: &[(usize, usize)], span: Option<Range<usize>>, drift: bool) -> Result<(), ModelError> {
        self.forwards += 1;
        let ids: Vec<u32> = (0..100).map(|place| (place * 7 + 11 * self.forwards) % 50).collect();
        let start = span.as_ref().map_or(8, |span| span.start);
        let wanted = [start + 2, start + 4];
        let row = |&(slot, length): &(usize, usize)| Row {
            cache: Some(CacheSlot(slot)),
            recompute: span.clone().map_or(Recompute::All, Recompute::Span),
            measures_drift: drift,
            ..Row::new(&ids[..length], &wanted)
        };
        self.compare(&rows.iter().map(row).collect::<Vec<_>>())
    }

    fn compare(&mut self, rows: &[Row<'_>]) -> Result<(), ModelError> {
        let (found, expected) = (self.stacked.forward(rows)?.rows, self.alone.forward(rows)?.rows);
        for (row, pair) in found.into_iter().zip(expected).enumerate() {
            let (Some(found), Some(expected)) = pair else { panic!("row {row} was not computed") };
            let is_close = |a: &Tensor, b: &Tensor| a.allclose(b, 1e-4, 1e-5, false);
            let context = format!("{}: row {row} of forward {}", self.name, self.forwards);
            assert!(is_close(&found.states, &expected.states), "{context}");
            match (found.drift, expected.drift) {
                (Some(found), Some(expected)) => assert!(is_close(&found, &expected), "drift, {context}"),
                (found, expected) => assert!(found.is_none() && expected.is_none(), "drift, {context}"),
            }
        }
        Ok(())
    }
}

#[test]
fn rows_side_by_side_are_as_rows_alone() -> Result<(), ModelError> {
    for name in FAMILIES {
        let (stacked, alone) = (open(name, KvMemory::stacked())?, open(name, KvMemory::default())?);
        let mut pair = Pair { name, stacked, alone, forwards: 0 };
        // Rows of unequal length, computed as a whole and then in blocks, in any order.
        pair.forward(&[(3, 40), (0, 64), (2, 51), (1, 64)], None, false)?;
        pair.forward(&[(1, 64), (2, 51), (3, 40), (0, 64)], Some(16..24), false)?;
        pair.forward(&[(0, 64), (1, 64), (3, 40)], Some(24..32), true)?;
        // A row leaves, another takes its place, and a fifth makes the memory grow.
        pair.stacked.release(CacheSlot(2));
        pair.alone.release(CacheSlot(2));
        pair.forward(&[(5, 33), (6, 64)], None, false)?;
        pair.forward(&[(0, 64), (1, 64), (3, 40), (5, 33), (6, 64)], Some(16..24), false)?;
        // States of a row share its keys and values.
        pair.forward(&[(0, 64), (0, 64), (1, 64), (1, 64), (6, 64)], Some(24..32), false)?;
        // A row grows at its end, and one becomes shorter.
        pair.forward(&[(0, 72), (1, 72)], Some(64..72), false)?;
        pair.forward(&[(1, 50), (0, 72)], None, false)?;
        pair.forward(&[(0, 72), (6, 64), (3, 40)], Some(8..16), false)?;
        // Whole rows beside blocks, and blocks of which more is wanted.
        let (ids, others): (Vec<u32>, Vec<u32>) = ((0..64).collect(), (20..84).collect());
        let all: Vec<usize> = (8..32).collect();
        let block = Row { recompute: Recompute::Span(8..32), cache: Some(CacheSlot(5)), ..Row::new(&ids, &[9]) };
        let whole = |slot| Row { recompute: Recompute::All, cache: Some(CacheSlot(slot)), ..block.clone() };
        pair.compare(&[
            whole(5),
            Row { ids: &others, ..whole(1) },
            Row { cache: Some(CacheSlot(6)), ..block.clone() },
        ])?;
        let neighbour = Row { ids: &others, cache: Some(CacheSlot(1)), ..block.clone() };
        pair.compare(&[block.clone(), Row { wanted: &all, ..neighbour.clone() }])?;
        let shadowed = [block, neighbour].map(|row| Row { shadowed: true, ..row });
        if pair.alone.check(&shadowed).is_ok() {
            pair.compare(&shadowed)?;
        }
    }
    Ok(())
}

#[test]
fn neighbours_are_computed_in_one_call() -> Result<(), ModelError> {
    let mut model = open("tiny-llada", KvMemory::stacked())?;
    let ids: Vec<u32> = (0..64).collect();
    let row = |slot: usize, span: Range<usize>| Row {
        cache: Some(CacheSlot(slot)),
        recompute: Recompute::Span(span),
        ..Row::new(&ids, &[9])
    };
    let rows: Vec<Row<'_>> = (0..4).map(|slot| Row { recompute: Recompute::All, ..row(slot, 0..64) }).collect();
    model.forward(&rows)?;
    // The first row of each group, and of what follows them.
    let mut groups = |rows: &[Row<'_>]| -> Result<Vec<usize>, ModelError> {
        let order = model.kv_caches.begin(&rows.iter().collect::<Vec<_>>(), tch::Device::Cpu)?;
        let piece = |&row: &usize| Piece { computed: rows[row].recompute.range(64), ..Piece::whole(64) };
        let packing = Packing::new(&order.iter().map(piece).collect::<Vec<_>>(), tch::Device::Cpu)?;
        let groups = model.kv_caches.groups(&packing, &packing);
        model.kv_caches.end(3);
        Ok(groups.iter().map(|group| group.start).chain([rows.len()]).collect())
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(|slot| row(slot, 8..16));
    let all = [&d, &b, &a, &c].map(Clone::clone);
    assert_eq!(groups(&all)?, [0, 4]);
    // A gap, another number of tokens, and states of rows.
    assert_eq!(groups(&[a.clone(), c.clone(), d.clone()])?, [0, 1, 3]);
    assert_eq!(groups(&[a.clone(), row(1, 8..20), c.clone(), d.clone()])?, [0, 1, 2, 4]);
    assert_eq!(groups(&[a.clone(), a.clone(), b.clone(), b.clone()])?, [0, 2, 4]);
    Ok(())
}

#[test]
fn a_cache_counts_its_lane_and_leaves_none_behind() -> Result<(), ModelError> {
    let mut model = open("tiny-llada", KvMemory::stacked())?;
    let mut other = open("tiny-llada", KvMemory::default())?;
    let [of_lane, of_row] = [&model, &other].map(|model| model.kept_bytes(64, &Recompute::All));
    assert_eq!(of_lane, 4 * of_row);

    let ids = [7; 64];
    let row = Row { cache: Some(CacheSlot(1)), ..Row::new(&ids, &[9]) };
    for model in [&mut model, &mut other] {
        // A forward that fails before the first layer.
        model.kv_caches.begin(&[&row], tch::Device::Cpu)?;
        assert!(model.kv_caches.get(CacheSlot(1)).is_some());
        model.kv_caches.end(3);
        assert!(model.kv_caches.get(CacheSlot(1)).is_none() && model.kv_caches.memory.is_empty());
        model.forward(std::slice::from_ref(&row))?;
        model.release(CacheSlot(1));
        assert!(model.kv_caches.memory.is_empty());
    }
    Ok(())
}
