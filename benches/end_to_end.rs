//! What a user waits for: texts to vectors, and a document to chunks with vectors.
#![expect(clippy::print_stdout, reason = "ratios stand beside criterion's lines")]

mod support;

use std::hint::black_box;
use std::time::Instant;

use chunkflow::chunking::{ChunkOptions, Encoding};
use chunkflow::compute::Span;
use chunkflow::embeddings::{EmbedOptions, Engine, Job, LoadedModel, Output, Packed};
use chunkflow::pipeline;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Of the long document.
const BYTES: usize = 1 << 20;
/// Runs of which the fastest counts.
const RUNS: usize = 3;

fn end_to_end(criterion: &mut Criterion) {
    let model = support::minilm();
    let texts = support::texts(64);
    let texts = support::slices(&texts);
    let options = EmbedOptions::default();
    let mut group = criterion.benchmark_group("end_to_end");
    group.sample_size(10);
    group.throughput(Throughput::Elements(support::tokens(&model, &texts)));
    group.bench_function("embed", |bencher| {
        bencher.iter(|| {
            let planned = model.model().embed(&texts, &options).expect("texts tokenise");
            planned.run(&model).expect("texts embed")
        });
    });
    let document = support::DOCUMENT.repeat(4);
    let count = model.model().tokenizer().count(&document).expect("the document tokenises");
    group.throughput(Throughput::Elements(count as u64));
    for (name, encoding) in [("chunk", Encoding::Late), ("chunk_isolated", Encoding::Isolated)] {
        let choices = ChunkOptions { encoding: Some(encoding), ..ChunkOptions::default() };
        let spec = choices.resolve().expect("the defaults are valid");
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| pipeline::chunk(&model, &document, &spec, &options).expect("it is cut"));
        });
    }
}

/// Seconds of the fastest of several runs.
fn fastest<T>(mut run: impl FnMut() -> T) -> f64 {
    let seconds = (0..RUNS).map(|_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

/// The tokens of `text` as sequences of the model's length, end to end, each pooled as a text.
fn plain_sequences(model: &LoadedModel, text: &str) -> Job {
    let model = model.model();
    let tokenizer = model.tokenizer();
    let ids = tokenizer.encode(text).expect("the document tokenises").ids;
    // The special tokens, as they stand around a text.
    let planned = model.embed(&["a"], &EmbedOptions::default()).expect("a text tokenises");
    let job = planned.job();
    let (first, last) = (job.packed.ids[0], job.packed.ids[job.packed.tokens() - 1]);
    let mut packed = Packed::default();
    for ids in ids.chunks(tokenizer.max_tokens() - tokenizer.special_tokens()) {
        packed.push([&[first], ids, &[last]].concat());
    }
    let spans = (0_u32..).zip(packed.lengths());
    let spans = spans.map(|(seq, tokens)| Span { seq, start: 0, end: tokens as u32 }).collect();
    Job {
        packed,
        spans,
        output: Output::Embeddings { dimensions: model.dimensions(), normalize: None },
    }
}

/// A document of many windows, beside what its tokens cost as plain sequences. Too long for
/// criterion, which takes ten samples at least.
fn long_document(_: &mut Criterion) {
    let model = support::minilm();
    let document: String = support::DOCUMENT.chars().cycle().take(BYTES).collect();
    let spec = ChunkOptions::default().resolve().expect("the defaults are valid");
    let (mut tokens, mut encoded) = (0, 0);
    let chunked_s = fastest(|| {
        let chunked = pipeline::chunk(&model, &document, &spec, &EmbedOptions::default());
        let document = chunked.expect("it is cut").document;
        (tokens, encoded) = (document.tokens(), document.encoder_tokens());
    });
    let job = plain_sequences(&model, &document);
    let plain_s = fastest(|| model.encode(job.clone()).expect("sequences embed"));
    println!(
        "end_to_end/long_document: {} bytes, {tokens} tokens, {encoded} through the encoder \
         ({:.3} times); {chunked_s:.2} s, {:.0} tokens/s; as plain sequences {plain_s:.2} s \
         ({:.3} times)",
        document.len(),
        encoded as f64 / tokens as f64,
        tokens as f64 / chunked_s,
        chunked_s / plain_s,
    );
}

criterion_group!(benches, end_to_end, long_document);
criterion_main!(benches);
