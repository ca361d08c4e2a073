//! The forward pass over packed tokens, without tokenising: MiniLM and the shape of BERT-base.

mod support;

use chunkflow::embeddings::{EmbedOptions, Engine, LoadedModel};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn encode_with(criterion: &mut Criterion, name: &str, model: &LoadedModel) {
    let mut group = criterion.benchmark_group(format!("encode/{name}"));
    group.sample_size(10);
    let texts = support::texts(32);
    let texts = support::slices(&texts);
    for (load, texts) in [("batch", &texts[..]), ("one_text", &texts[..1])] {
        let planned = model.model().embed(texts, &EmbedOptions::default());
        let job = planned.expect("texts tokenise").job().clone();
        group.throughput(Throughput::Elements(job.packed.tokens() as u64));
        group.bench_function(load, |bencher| {
            bencher.iter(|| model.encode(job.clone()).expect("the forward pass runs"));
        });
    }
}

fn encode(criterion: &mut Criterion) {
    encode_with(criterion, "minilm", &support::minilm());
    encode_with(criterion, "bert_base", &support::bert_base());
}

criterion_group!(benches, encode);
criterion_main!(benches);
