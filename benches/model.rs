//! How fast the mask predictor is: by length, batch and dtype, by how many logits are wanted, with keys and values that are
//! kept, with a part of the suffix, and for several requests at a time.

use criterion::{BenchmarkId, Criterion, Throughput};
use llada_benches::checkpoint::Checkpoint;
use llada_core::{
    predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row},
    rng::Noise,
    suffix::SuffixWindow,
};
use llada_model::{Device, Dtype, ModelError, Precision, Transformer};

/// Tokens of an answer's block, masked where nothing else is said.
const BLOCK: usize = 32;
const LENGTHS: [usize; 3] = [64, 256, 1024];
/// Masks after the block that a suffix window shows; the last one is seen besides.
const WINDOW: usize = 96;
const BATCHES: [usize; 2] = [4, 16];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let checkpoint = Checkpoint::open()?;
    for precision in [Dtype::F32.into(), Dtype::Bf16.into(), Precision::Int8] {
        let (name, mut model) = (precision.to_string(), Transformer::load(&checkpoint.folder, Device::Cpu, precision)?);
        forward(&mut criterion, &name, &mut model)?;
        wanted(&mut criterion, &name, &mut model)?;
        cached(&mut criterion, &name, &mut model)?;
        windowed(&mut criterion, &name, &mut model)?;
        together(&mut criterion, &name, &mut model)?;
    }
    criterion.final_summary();
    Ok(())
}

/// A text whose last block is masked.
fn ids(model: &Transformer, length: usize) -> Vec<u32> {
    let (mut stream, mask_id) = (Noise::new(0).stream(0, 0, 0), model.mask_id());
    let text = (0..length - BLOCK).map(|_| stream.below(mask_id.into()) as u32);
    text.chain([mask_id; BLOCK]).collect()
}

fn last_block(length: usize) -> Vec<usize> {
    (length - BLOCK..length).collect()
}

/// Tokens of the rows a second.
fn forward(criterion: &mut Criterion, name: &str, model: &mut Transformer) -> Result<(), ModelError> {
    let mut group = criterion.benchmark_group(format!("forward/{name}"));
    let by_length = LENGTHS.map(|length| (1, length)).into_iter();
    let by_batch = BATCHES.map(|batch| (batch, LENGTHS[0]));
    let longest = model.max_sequence_length();
    for (batch, length) in by_length.chain(by_batch).filter(|&(_, length)| length <= longest) {
        let (ids, wanted) = (ids(model, length), last_block(length));
        let rows = vec![Row::new(&ids, &wanted); batch];
        // What fails here would be measured as very fast.
        model.forward(&rows)?;
        group.throughput(Throughput::Elements((batch * length) as u64));
        group.bench_function(BenchmarkId::new("rows x tokens", format!("{batch} x {length}")), |b| {
            b.iter(|| model.forward(&rows).map(drop));
        });
    }
    group.finish();
    Ok(())
}

/// Tokens of the row a second, with all of its logits, and with those of the masked block alone.
fn wanted(criterion: &mut Criterion, name: &str, model: &mut Transformer) -> Result<(), ModelError> {
    let length = LENGTHS[1];
    let ids = ids(model, length);
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group(format!("logits/{name}"));
    group.throughput(Throughput::Elements(length as u64));
    for (which, wanted) in [("of all tokens", (0..length).collect()), ("of the block", last_block(length))] {
        let rows = [Row::new(&ids, &wanted)];
        model.forward(&rows)?;
        group.bench_function(which, |b| {
            b.iter(|| model.forward(&rows)?.logits(0, 0..wanted.len(), &mut out));
        });
    }
    group.finish();
    Ok(())
}

/// Tokens of the block a second: a step of a dual cache, and the full forward that it saves.
fn cached(criterion: &mut Criterion, name: &str, model: &mut Transformer) -> Result<(), ModelError> {
    let length = LENGTHS[1];
    let (ids, wanted) = (ids(model, length), last_block(length));
    let mut group = criterion.benchmark_group(format!("block/{name}"));
    group.throughput(Throughput::Elements(BLOCK as u64));
    let span = Recompute::Span(length - BLOCK..length);
    for (which, recompute) in [("full forward", Recompute::All), ("dual cache", span)] {
        let rows = [Row { cache: Some(CacheSlot(0)), recompute, ..Row::new(&ids, &wanted) }];
        model.forward(&rows)?;
        group.bench_function(which, |b| b.iter(|| model.forward(&rows).map(drop)));
    }
    group.finish();
    model.release(CacheSlot(0));
    Ok(())
}

/// Tokens of the block a second, in the middle of an answer that is half of the longest row: a full forward, and the steps of
/// a prefix and a dual cache, with all of the suffix and with a window. A whole answer takes as long a step on average.
fn windowed(criterion: &mut Criterion, name: &str, model: &mut Transformer) -> Result<(), ModelError> {
    let length = LENGTHS[2].min(model.max_sequence_length());
    let (mask_id, start) = (model.mask_id(), length * 3 / 4);
    let (block, wanted) = (start..start + BLOCK, (start..start + BLOCK).collect::<Vec<_>>());
    let mut ids = ids(model, length);
    ids[start..].fill(mask_id);
    let mut seen: Vec<usize> = (0..block.end).collect();
    SuffixWindow { window: WINDOW, trailing: 1, dropout: 0.0 }.extend_seen(
        block.end..length,
        0,
        Noise::new(0),
        &mut seen,
    );
    let mut group = criterion.benchmark_group(format!("suffix/{name}"));
    group.throughput(Throughput::Elements(BLOCK as u64));
    for (suffix, positions) in [("whole", None), ("window", Some(seen.as_slice()))] {
        let ids = &ids[..positions.map_or(length, <[usize]>::len)];
        for (which, recompute) in [
            ("full forward", Recompute::All),
            ("prefix cache", Recompute::Span(start..ids.len())),
            ("dual cache", Recompute::Span(block.clone())),
        ] {
            let rows = [Row { positions, cache: Some(CacheSlot(0)), recompute, ..Row::new(ids, &wanted) }];
            model.forward(&rows)?;
            group.bench_function(BenchmarkId::new(which, suffix), |b| b.iter(|| model.forward(&rows).map(drop)));
        }
    }
    group.finish();
    model.release(CacheSlot(0));
    Ok(())
}

/// Tokens of the blocks a second: steps of a dual cache in the middle of the longest row, of several requests one after the
/// other and in a batch.
fn together(criterion: &mut Criterion, name: &str, model: &mut Transformer) -> Result<(), ModelError> {
    let length = LENGTHS[2].min(model.max_sequence_length());
    let (ids, start) = (ids(model, length), length / 2);
    let wanted: Vec<usize> = (start..start + BLOCK).collect();
    let mut group = criterion.benchmark_group(format!("requests/{name}"));
    for batch in BATCHES {
        let row = |slot, recompute| Row { cache: Some(CacheSlot(slot)), recompute, ..Row::new(&ids, &wanted) };
        for slot in 0..batch {
            model.forward(&[row(slot, Recompute::All)])?;
        }
        let rows: Vec<_> = (0..batch).map(|slot| row(slot, Recompute::Span(start..start + BLOCK))).collect();
        model.forward(&rows)?;
        group.throughput(Throughput::Elements((batch * BLOCK) as u64));
        for (which, at_once) in [("one by one", 1), ("in a batch", batch)] {
            group.bench_function(BenchmarkId::new(which, batch), |b| {
                b.iter(|| rows.chunks(at_once).try_for_each(|rows| model.forward(rows).map(drop)));
            });
        }
        (0..batch).for_each(|slot| model.release(CacheSlot(slot)));
    }
    group.finish();
    Ok(())
}
