//! Pooling spans of hidden states, and the banded Gram matrix.

use chunkflow::compute::{Band, Buffers, CpuExec, Pool, Pooling, Projection, Span};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const HIDDEN: usize = 384;
const SEQUENCES: usize = 64;
const LENGTH: usize = 128;

fn pool(criterion: &mut Criterion) {
    let exec = CpuExec::new();
    let tokens = SEQUENCES * LENGTH;
    let values: Vec<f32> = (0..tokens * HIDDEN).map(|i| (i * 7_919 % 1_000) as f32 / 1e3).collect();
    let hidden = exec.upload(&values, HIDDEN).expect("rows are whole");
    let cu_seqlens: Vec<u32> = (0..=SEQUENCES).map(|i| (i * LENGTH) as u32).collect();
    let span = |seq: usize| Span { seq: seq as u32, start: 0, end: LENGTH as u32 };
    let spans: Vec<Span> = (0..SEQUENCES).map(span).collect();
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Elements(tokens as u64));
    group.bench_function("mean_and_normalise", |bencher| {
        bencher.iter(|| {
            let rows = exec.pool(&hidden, &cu_seqlens, &spans, Pooling::Mean).expect("spans fit");
            exec.finish(rows, Projection { dims: HIDDEN, normalize: true }).expect("dims fit")
        });
    });
    group.bench_function("gram_of_width_32", |bencher| {
        bencher.iter(|| exec.gram(&hidden, 32).expect("the band fits"));
    });
}

criterion_group!(benches, pool);
criterion_main!(benches);
