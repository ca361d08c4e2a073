//! Criterion with the rate of the median sample and its share of what this core can do at most,
//! which is measured first: products by the fastest loop that stays in registers, bytes by sums of
//! an array that fits a core's cache and of one that does not.
#![allow(dead_code, reason = "each bench uses its part")]

#[path = "../ceiling/mod.rs"]
mod ceiling;

use std::hint::black_box;
use std::time::{Duration, Instant};

use chunkflow::compute::{Dtype, Isa};
use criterion::{BenchmarkId, Criterion};

/// Dtypes with a ceiling.
pub(crate) const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::Int8];
const SAMPLES: usize = 10;

/// What an operation does once.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Multiplications and additions in dense layers of a dtype.
    Products(Dtype, usize),
    /// Bytes read and written.
    Bytes(usize),
}

/// Products and bytes a second.
#[derive(Default)]
struct Ceilings {
    /// By dtype; none where no loop is written for the processor.
    products: [Option<f64>; 3],
    /// The fastest seen so far, which stands in for a ceiling that is missing.
    fastest: [f64; 3],
    cached: f64,
    memory: f64,
}

impl Ceilings {
    fn measure(memory_bytes: usize) -> Self {
        let products = DTYPES.map(ceiling::products);
        let cached = ceiling::bytes(256 << 10);
        Self { products, fastest: [0.0; 3], cached, memory: ceiling::bytes(memory_bytes) }
    }

    fn print(&self, isa: Isa) {
        let Self { cached, memory, .. } = *self;
        println!(
            "isa {isa}; one core reads {:.1} GB/s cached, {:.1} not",
            cached / 1e9,
            memory / 1e9
        );
        for (dtype, products) in DTYPES.iter().zip(self.products) {
            let rate = products.map_or("unknown".to_owned(), |rate| format!("{:.1}", rate / 1e9));
            println!("{dtype} ceiling: {rate} GFLOP/s");
        }
    }

    /// The rate of `work` done in `seconds`, and its shares of the ceilings.
    fn describe(&mut self, work: Work, seconds: f64) -> String {
        match work {
            Work::Products(dtype, products) => {
                let (rate, index) = (products as f64 / seconds, dtype as usize);
                self.fastest[index] = self.fastest[index].max(rate);
                let ceiling = self.products[index].unwrap_or(self.fastest[index]);
                format!("{:.1} GFLOP/s, {:.0}% of {dtype}", rate / 1e9, 100.0 * rate / ceiling)
            }
            Work::Bytes(bytes) => {
                let rate = bytes as f64 / seconds;
                let [cached, memory] = [self.cached, self.memory].map(|most| 100.0 * rate / most);
                format!("{:.1} GB/s, {cached:.0}% of cached, {memory:.0}% of memory", rate / 1e9)
            }
        }
    }
}

/// Criterion, and the ceilings that its results are held against.
pub(crate) struct Bench {
    name: &'static str,
    criterion: Criterion,
    pub(crate) isa: Isa,
    ceilings: Ceilings,
}

impl Bench {
    /// With the criterion of the command line and the ceilings of this core, whose memory is an array
    /// of `memory_bytes`.
    pub(crate) fn new(name: &'static str, memory_bytes: usize) -> Self {
        let criterion = Criterion::default()
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1))
            .nresamples(10_000)
            .configure_from_args();
        let isa = Isa::detect();
        let bench = Self { name, criterion, isa, ceilings: Ceilings::measure(memory_bytes) };
        bench.ceilings.print(isa);
        bench
    }

    pub(crate) fn finish(self) {
        self.criterion.final_summary();
    }

    /// Times `run` on what `prepare` gives, without the latter.
    pub(crate) fn measure<I, O>(
        &mut self,
        op: &str,
        id: BenchmarkId,
        work: Work,
        mut prepare: impl FnMut() -> I,
        mut run: impl FnMut(I) -> O,
    ) {
        let mut samples = Vec::new();
        let mut group = self.criterion.benchmark_group(format!("{}/{op}", self.name));
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut sum = Duration::ZERO;
                for _ in 0..iterations {
                    let input = prepare();
                    let start = Instant::now();
                    drop(black_box(run(black_box(input))));
                    sum += start.elapsed();
                }
                samples.push(sum.as_secs_f64() / iterations as f64);
                sum
            });
        });
        group.finish();
        // The first ones warm up; there are none at all where the id is filtered out.
        samples.drain(..samples.len().saturating_sub(SAMPLES));
        samples.sort_by(f64::total_cmp);
        if let Some(&seconds) = samples.get(samples.len() / 2) {
            println!("{:24}rate:   {}", "", self.ceilings.describe(work, seconds));
        }
    }
}

/// Runs `benches` on one thread, on which a join runs both its sides.
pub(crate) fn on_one_thread(benches: fn()) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
    pool.install(benches);
}
