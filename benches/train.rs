//! How fast a model learns: steps of pre-training, gradient, clipping and AdamW included, in tokens a second.

use criterion::{BenchmarkId, Criterion, Throughput};
use llada_benches::checkpoint::Checkpoint;
use llada_core::rng::Noise;
use llada_model::{Device, Dtype, TrainableTransformer};
use llada_train::{
    TrainError,
    objective::{Objective, Rows},
    optimizer::{Optimizer, OptimizerConfig},
};

const ROWS: usize = 16;
const ROW_LENGTH: usize = 128;
const LR: f64 = 1e-4;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let checkpoint = Checkpoint::open()?;
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements((ROWS * ROW_LENGTH) as u64));
    for (name, dtype) in [("f32", Dtype::F32), ("bf16", Dtype::Bf16)] {
        let mut model = TrainableTransformer::load(&checkpoint.folder, Device::Cpu, dtype)?;
        let mut optimizer = Optimizer::new(&model, OptimizerConfig::default())?;
        let rows = rows(model.config().mask_token_id);
        let mut number = 0;
        // What fails here would be measured as very fast.
        step(&mut model, &mut optimizer, &rows, &mut number)?;
        group.bench_function(BenchmarkId::new("diffusion", name), |b| {
            b.iter(|| step(&mut model, &mut optimizer, &rows, &mut number));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn rows(mask_id: u32) -> Rows {
    let mut stream = Noise::new(0).stream(0, 0, 0);
    let ids = (0..ROWS * ROW_LENGTH).map(|_| stream.below(mask_id.into()) as u32).collect();
    Rows { ids, row_length: ROW_LENGTH, answers: None }
}

fn step(
    model: &mut TrainableTransformer,
    optimizer: &mut Optimizer,
    rows: &Rows,
    number: &mut u32,
) -> Result<(), TrainError> {
    let batch = Objective::Diffusion.mask(rows, model.config().mask_token_id, true, Noise::new(0), *number)?;
    *number += 1;
    model.accumulate(&batch.batch())?;
    let grad_norm = model.gradient().norm()?;
    optimizer.step(model, (*number).into(), LR, grad_norm)
}
