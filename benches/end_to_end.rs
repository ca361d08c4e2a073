//! What a user waits for: texts to vectors, and a document to chunks with vectors.

mod support;

use chunkflow::chunking::ChunkSpec;
use chunkflow::embeddings::EmbedOptions;
use chunkflow::pipeline;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn end_to_end(criterion: &mut Criterion) {
    let model = support::minilm();
    let texts = support::texts(64);
    let texts = support::slices(&texts);
    let mut group = criterion.benchmark_group("end_to_end");
    group.sample_size(10);
    group.throughput(Throughput::Elements(support::tokens(&model, &texts)));
    group.bench_function("embed", |bencher| {
        bencher.iter(|| model.embed(&texts, &EmbedOptions::default()).expect("texts embed"));
    });
    let document = support::DOCUMENT.repeat(4);
    let spec = ChunkSpec { max_tokens: 256, target_tokens: 200, size_weight: 1.0 };
    let count = model.tokenizer().count(&document).expect("the document tokenises");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("chunk", |bencher| {
        bencher.iter(|| pipeline::chunk(&model, &document, &spec, None).expect("it is cut"));
    });
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
