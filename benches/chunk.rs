//! Where to cut: units of a text, and the dynamic programme over their band.

mod support;

use chunkflow::chunking::{ChunkSpec, UnitKind, segment, units};
use chunkflow::similarity::Band;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const UNITS: usize = 4_096;
const TOKENS_A_UNIT: usize = 20;
const WIDTH: usize = 64;

fn chunk(criterion: &mut Criterion) {
    let model = support::minilm();
    let document = support::DOCUMENT.repeat(16);
    let encoded = model.tokenizer().encode(&document).expect("the document tokenises");
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Elements(encoded.ids.len() as u64));
    group.bench_function("units", |bencher| {
        bencher.iter(|| units(&document, &encoded.offsets, UnitKind::Sentence, 254));
    });
    let similarity = |index: usize| match index % WIDTH {
        0 => 1.0,
        offset => 0.5 / offset as f32,
    };
    let band = Band::new((0..UNITS * WIDTH).map(similarity).collect(), WIDTH);
    let sizes = vec![TOKENS_A_UNIT; UNITS];
    let spec = ChunkSpec { max_tokens: 1_024, target_tokens: 200, size_weight: 1.0 };
    group.throughput(Throughput::Elements((UNITS * TOKENS_A_UNIT) as u64));
    group.bench_function("segment", |bencher| bencher.iter(|| segment(&band, &sizes, 2, &spec)));
}

criterion_group!(benches, chunk);
criterion_main!(benches);
