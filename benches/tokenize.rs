//! Text to packed ids.

mod support;

use chunkflow::embeddings::EmbedOptions;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn tokenize(criterion: &mut Criterion) {
    let loaded = support::minilm();
    let model = loaded.model();
    let texts = support::texts(256);
    let texts = support::slices(&texts);
    let mut group = criterion.benchmark_group("tokenize");
    group.throughput(Throughput::Elements(support::tokens(&loaded, &texts)));
    group.bench_function("pack", |bencher| {
        bencher.iter(|| model.embed(&texts, &EmbedOptions::default()).expect("texts tokenise"));
    });
    let document = support::DOCUMENT.repeat(16);
    let count = model.tokenizer().encode(&document).expect("the document tokenises").ids.len();
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("encode_with_offsets", |bencher| {
        bencher.iter(|| model.tokenizer().encode(&document).expect("the document tokenises"));
    });
}

criterion_group!(benches, tokenize);
criterion_main!(benches);
