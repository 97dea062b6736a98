//! How fast the maths is, on sizes as LLaDA-8B has them: 4096 tokens of a row, 126,464 logits of a position.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use llada_core::{
    CoreError,
    confidence::{Remasking, top_k},
    masking::{forward_process, mask_uniforms},
    rng::Noise,
    sampling::{argmax, gumbel_max, softmax_at},
    schedule::{EPS, NoiseSchedule, stratified_t},
};

const VOCAB_SIZE: u32 = 126_464;
const MASK_ID: u32 = 126_336;
const ROW_LENGTH: usize = 4096;
const ROWS: usize = 4;

fn main() -> Result<(), CoreError> {
    let mut criterion = Criterion::default().configure_from_args();
    forward(&mut criterion)?;
    schedules(&mut criterion);
    order(&mut criterion);
    sampling(&mut criterion);
    criterion.final_summary();
    Ok(())
}

/// Tokens a second.
fn forward(criterion: &mut Criterion) -> Result<(), CoreError> {
    let (noise, lengths) = (Noise::new(0), [ROW_LENGTH; ROWS]);
    let input_ids: Vec<u32> = (0..(ROWS * ROW_LENGTH) as u32).collect();
    let t: Vec<f32> = (0..ROWS).map(|row| (row as f32 + 0.5) / ROWS as f32).collect();
    let uniform = mask_uniforms(noise, 0, &lengths);
    // What fails here would be measured as very fast.
    forward_process(&input_ids, &lengths, &t, &uniform, MASK_ID, EPS)?;
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements((ROWS * ROW_LENGTH) as u64));
    group.bench_function("mask_uniforms", |b| b.iter(|| mask_uniforms(noise, 0, black_box(&lengths))));
    group.bench_function("forward_process", |b| {
        b.iter(|| forward_process(black_box(&input_ids), &lengths, &t, &uniform, MASK_ID, EPS));
    });
    group.finish();
    Ok(())
}

/// Times a second.
fn schedules(criterion: &mut Criterion) {
    let stream = Noise::new(0).stream(0, 0, 0);
    let uniform: Vec<f64> = (0..ROW_LENGTH as u32).map(|row| stream.at(row)).collect();
    let mut group = criterion.benchmark_group("schedule");
    group.throughput(Throughput::Elements(ROW_LENGTH as u64));
    group.bench_function("stratified_t", |b| b.iter(|| stratified_t(black_box(&uniform))));
    for (name, schedule) in
        [("linear", NoiseSchedule::Linear), ("cosine", NoiseSchedule::Cosine), ("log_linear", NoiseSchedule::LogLinear)]
    {
        group.bench_function(BenchmarkId::new("weight", name), |b| {
            b.iter(|| black_box(&uniform).iter().map(|&t| schedule.weight(t)).sum::<f64>());
        });
    }
    group.finish();
}

/// Logits a second, and candidates a second.
fn order(criterion: &mut Criterion) {
    let logits = logits();
    let pick = argmax(&logits);
    let mut group = criterion.benchmark_group("order");
    group.throughput(Throughput::Elements(VOCAB_SIZE.into()));
    for remasking in [Remasking::LowConfidence, Remasking::Margin, Remasking::Entropy] {
        group.bench_function(BenchmarkId::new("confidence", remasking), |b| {
            b.iter(|| remasking.confidence(black_box(&logits), pick, || 0.5));
        });
    }
    let stream = Noise::new(0).stream(0, 0, 0);
    let mut chosen = Vec::new();
    for masked in [32_u32, 1024] {
        let confidence: Vec<f32> = (0..masked).map(|position| stream.at(position) as f32).collect();
        group.throughput(Throughput::Elements(masked.into()));
        group.bench_function(BenchmarkId::new("top_k of", masked), |b| {
            b.iter(|| top_k(black_box(&confidence), masked as usize / 8, &mut chosen));
        });
    }
    group.finish();
}

/// Logits a second.
fn sampling(criterion: &mut Criterion) {
    let (logits, noise) = (logits(), Noise::new(1).stream(0, 0, 0));
    let pick = argmax(&logits);
    let mut group = criterion.benchmark_group("sampling");
    group.throughput(Throughput::Elements(VOCAB_SIZE.into()));
    group.bench_function("argmax", |b| b.iter(|| argmax(black_box(&logits))));
    group.bench_function("softmax_at", |b| b.iter(|| softmax_at(black_box(&logits), pick)));
    for temperature in [0.2, 1.0] {
        group.bench_function(BenchmarkId::new("gumbel_max", temperature), |b| {
            b.iter(|| gumbel_max(black_box(&logits), temperature, &noise));
        });
    }
    group.finish();
}

/// Many small ones and few that stand out, as a model gives them.
fn logits() -> Vec<f32> {
    let stream = Noise::new(0).stream(0, 0, 0);
    (0..VOCAB_SIZE).map(|id| (-2.0 * (-stream.at(id).ln()).ln()) as f32).collect()
}
