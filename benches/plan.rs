//! Planning batches of sequences.

use chunkflow::embeddings::plan_batches;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn plan(criterion: &mut Criterion) {
    let lengths: Vec<usize> = (0..16_384).map(|index| 3 + index * 7_919 % 254).collect();
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(lengths.iter().sum::<usize>() as u64));
    group.bench_function("batches", |bencher| bencher.iter(|| plan_batches(&lengths, 2_048)));
}

criterion_group!(benches, plan);
criterion_main!(benches);
