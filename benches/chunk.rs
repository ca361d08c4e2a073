//! Where to cut: units of a text, sums and curves of their band, and the best segmentation.

mod support;

use chunkflow::chunking::{
    ChunkOptions, ChunkSpec, Objective, Problem, SegmentRule, Segments, UnitKind,
    calibrated_penalty, cosines, units, with_count,
};
use chunkflow::similarity::{Band, BlockSums};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

/// A book of a thousand pages.
const UNITS: usize = 100_000;
/// A document of which the number of segments is found.
const FEW_UNITS: usize = 2_000;
/// The most units of a segment.
const WIDTH: usize = 64;
const SHUFFLES: usize = 8;

/// Units of a document: their band and tokens, and what a cut before each gains.
struct Document {
    band: Band,
    tokens: Vec<usize>,
    bonuses: Vec<f32>,
}

impl Document {
    /// Similarities that fall with distance and are lower across topics, which `seed` moves.
    fn new(units: usize, seed: usize) -> Self {
        let noise = |at: usize| ((at + seed) * 7_919 % 1_009) as f32 / 1_009.0;
        let similarity = |index: usize| {
            let (unit, offset) = (index / WIDTH, index % WIDTH);
            let same_topic = noise(unit / 12) + offset as f32 / 60.0 < 1.0;
            match offset {
                0 => 1.0,
                _ if unit + offset >= units => 0.0,
                _ if same_topic => 0.3 + 0.3 * noise(index),
                _ => 0.05 + 0.3 * noise(index),
            }
        };
        Self {
            band: Band::new((0..units * WIDTH).map(similarity).collect(), WIDTH),
            tokens: (0..units).map(|unit| 5 + unit * 7_919 % 41).collect(),
            bonuses: (0..units).map(|unit| if unit % 6 == 0 { 0.3 } else { 0.0 }).collect(),
        }
    }

    fn problem<'a>(&'a self, sums: &'a BlockSums, rule: SegmentRule) -> Problem<'a> {
        Problem { sums, tokens: &self.tokens, bonuses: &self.bonuses, rule }
    }
}

/// The costs of `spec`, without overlap and with two special tokens.
fn rule(spec: &ChunkSpec, objective: Objective) -> SegmentRule {
    SegmentRule {
        objective,
        penalty: 0.0,
        size_weight: spec.size_weight,
        target_tokens: spec.target_tokens,
        max_tokens: spec.max_tokens,
        min_tokens: spec.min_tokens,
        special_tokens: 2,
    }
}

fn split(criterion: &mut Criterion) {
    let model = support::minilm();
    let document = support::DOCUMENT.repeat(16);
    let encoded = model.model().tokenizer().encode(&document).expect("the document tokenises");
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Elements(encoded.ids.len() as u64));
    for (name, kind) in [("units", UnitKind::Sentence), ("recursive_units", UnitKind::Recursive)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| units(&document, &encoded.offsets, kind, 254));
        });
    }
}

fn segment(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk");
    group.sample_size(20);
    let spec = ChunkOptions::default().resolve().expect("the defaults are valid");
    let document = Document::new(UNITS, 0);
    let sums = BlockSums::new(&document.band);
    group.throughput(Throughput::Elements(UNITS as u64));
    group.bench_function("block_sums", |bencher| bencher.iter(|| BlockSums::new(&document.band)));
    group.bench_function("window_curve", |bencher| {
        bencher.iter(|| cosines(&document.band, &sums, spec.window));
    });
    let objectives = [
        ("segment", Objective::Cvs),
        ("segment_kcpd", Objective::Kcpd),
        ("segment_cluster", Objective::Cluster { mean: document.band.mean_of_pairs() }),
    ];
    for (name, objective) in objectives {
        let problem = document.problem(&sums, rule(&spec, objective));
        group.bench_function(name, |bencher| bencher.iter(|| problem.solve(0.0)));
    }
    group.bench_function("segment_with_block_sums", |bencher| {
        bencher.iter(|| {
            let sums = BlockSums::new(&document.band);
            document.problem(&sums, rule(&spec, Objective::Cvs)).solve(0.0)
        });
    });
    count(&mut group);
}

/// What it takes to choose the number of segments.
fn count(group: &mut BenchmarkGroup<'_, WallTime>) {
    let options = ChunkOptions { segments: Some(Segments::Calibrated), ..ChunkOptions::default() };
    let spec = options.resolve().expect("the choices are valid");
    let rule =
        SegmentRule { size_weight: 0.0, max_tokens: 1_000_000, ..rule(&spec, Objective::Kcpd) };
    let documents: Vec<Document> =
        (0..SHUFFLES).map(|seed| Document::new(FEW_UNITS, seed)).collect();
    let sums: Vec<BlockSums> =
        documents.iter().map(|document| BlockSums::new(&document.band)).collect();
    let problems: Vec<Problem<'_>> =
        documents.iter().zip(&sums).map(|(document, sums)| document.problem(sums, rule)).collect();
    group.throughput(Throughput::Elements(FEW_UNITS as u64));
    group.bench_function("calibrate", |bencher| {
        bencher.iter(|| calibrated_penalty(&problems, spec.false_cuts));
    });
    group.bench_function("count_of_100", |bencher| bencher.iter(|| with_count(&problems[0], 100)));
}

criterion_group!(benches, split, segment);
criterion_main!(benches);
