//! The operations of an encoder's layer and its pooling on CUDA device 0, at the shapes of
//! all-MiniLM-L6-v2 and of BERT-base: GB/s or TFLOP/s, and the fraction of what a pass over a gigabyte
//! and a product of 4096 cubed reach on the same device, which is measured first.
//! Without a device it says so and measures nothing.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "its product is a table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chunkflow::compute::{
    Activation, Attend, Attention, CudaDevice, CudaExec, Dense, DenseWeights, Dtype, Epilogue,
    Exec, Mask, NormKind, NormWeights, Norms, Numerics, Pool, Pooling, Precision, Projection, Span,
};
use criterion::{BenchmarkId, Criterion, Throughput};

/// Tokens of a batch, in sequences of `LENGTH`.
const TOKENS: usize = 16_384;
const LENGTH: usize = 128;
/// Hidden size, heads and inner size.
const SHAPES: [(&str, usize, usize, usize); 2] =
    [("minilm", 384, 12, 1_536), ("bert-base", 768, 12, 3_072)];

/// What a device reached at best.
struct Ceilings {
    bytes_per_second: f64,
    flops_per_second: f64,
}

/// What one call of an operation moves and computes.
#[derive(Clone, Copy)]
struct Work {
    bytes: usize,
    flops: f64,
}

fn bytes_of(dtype: Dtype) -> usize {
    if dtype == Dtype::F32 { 4 } else { 2 }
}

/// The mean time of a call, queued `rounds` times and waited for once.
fn time(exec: &CudaExec, rounds: u64, mut call: impl FnMut()) -> Duration {
    exec.synchronise().unwrap();
    let start = Instant::now();
    for _ in 0..rounds {
        call();
    }
    exec.synchronise().unwrap();
    start.elapsed()
}

fn random(len: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn linear(exec: &CudaExec, inputs: usize, outputs: usize) -> <CudaExec as Dense>::Linear {
    let (weight, bias) = (random(inputs * outputs), random(outputs));
    let layer = DenseWeights { weight: &weight, bias: Some(&bias), in_features: inputs };
    exec.load_linear(&[layer], Precision::Working).unwrap()
}

fn norm(exec: &CudaExec, hidden: usize) -> <CudaExec as Norms>::Norm {
    let (weight, bias) = (random(hidden), random(hidden));
    let kind = NormKind::Layer;
    exec.load_norm(NormWeights { kind, weight: &weight, bias: Some(&bias), eps: 1e-12 }).unwrap()
}

/// The largest product and the widest pass over memory that the form has.
fn ceilings(exec: &CudaExec) -> Ceilings {
    let size = 4_096;
    let square = linear(exec, size, size);
    let input = exec.upload_working(&random(size * size), size).unwrap();
    let product = || drop(black_box(exec.linear(&input, &square, Epilogue::None).unwrap()));
    time(exec, 3, product);
    let seconds = time(exec, 10, product).as_secs_f64() / 10.0;
    let flops_per_second = 2.0 * (size * size * size) as f64 / seconds;
    let (rows, cols) = (1 << 18, 1_024);
    let rows_of = exec.upload_working(&random(rows * cols), cols).unwrap();
    let weights = norm(exec, cols);
    let pass = || drop(black_box(exec.norm(&rows_of, &weights).unwrap()));
    time(exec, 3, pass);
    let seconds = time(exec, 10, pass).as_secs_f64() / 10.0;
    let bytes = 2 * rows * cols * bytes_of(exec.dtype());
    Ceilings { bytes_per_second: bytes as f64 / seconds, flops_per_second }
}

struct Bench<'a> {
    criterion: &'a mut Criterion,
    exec: &'a CudaExec,
    ceilings: Ceilings,
}

impl Bench<'_> {
    fn run(&mut self, operation: &str, shape: &str, work: Work, mut call: impl FnMut()) {
        let dtype = self.exec.dtype().to_string();
        let mut group = self.criterion.benchmark_group(format!("cuda/{operation}/{shape}"));
        group.throughput(Throughput::Bytes(work.bytes as u64));
        let mut last = Duration::ZERO;
        group.bench_function(BenchmarkId::from_parameter(&dtype), |bencher| {
            bencher.iter_custom(|rounds| {
                let spent = time(self.exec, rounds, &mut call);
                last = spent / rounds as u32;
                spent
            });
        });
        group.finish();
        let seconds = last.as_secs_f64();
        let (bytes, flops) = (work.bytes as f64 / seconds, work.flops / seconds);
        println!(
            "{operation} {shape} {dtype}: {:.0} GB/s ({:.0}%), {:.2} TFLOP/s ({:.0}%)",
            bytes / 1e9,
            100.0 * bytes / self.ceilings.bytes_per_second,
            flops / 1e12,
            100.0 * flops / self.ceilings.flops_per_second,
        );
    }

    fn shape(&mut self, name: &str, hidden: usize, heads: usize, inner: usize) {
        let exec = self.exec;
        let size = bytes_of(exec.dtype());
        let states = exec.upload_working(&random(TOKENS * hidden), hidden).unwrap();
        let weights = norm(exec, hidden);
        let rows =
            Work { bytes: 2 * TOKENS * hidden * size, flops: 9.0 * (TOKENS * hidden) as f64 };
        self.run("norm", name, rows, || drop(black_box(exec.norm(&states, &weights).unwrap())));
        let up = linear(exec, hidden, inner);
        let flops = 2.0 * (TOKENS * hidden * inner) as f64;
        let bytes = size * (TOKENS * (hidden + inner) + hidden * inner);
        for (operation, epilogue) in
            [("linear", Epilogue::None), ("linear-gelu", Epilogue::Activate(Activation::Gelu))]
        {
            let call = || drop(black_box(exec.linear(&states, &up, epilogue).unwrap()));
            self.run(operation, name, Work { bytes, flops }, call);
        }
        let head_dim = hidden / heads;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let attention = Attention { heads, kv_heads: heads, head_dim, scale, mask: Mask::Full };
        let qkv = exec.upload_working(&random(TOKENS * 3 * hidden), 3 * hidden).unwrap();
        let ends: Vec<u32> = (0..=TOKENS / LENGTH).map(|seq| (seq * LENGTH) as u32).collect();
        let work = Work {
            bytes: 4 * TOKENS * hidden * size,
            flops: 4.0 * (TOKENS * LENGTH * hidden) as f64,
        };
        let call = || drop(black_box(exec.attention(&qkv, &ends, &attention, None).unwrap()));
        self.run("attention", name, work, call);
        let spans: Vec<Span> = (0..TOKENS / LENGTH)
            .map(|seq| Span { seq: seq as u32, start: 0, end: LENGTH as u32 })
            .collect();
        let finish = Projection { dims: hidden, normalize: true };
        let work = Work { bytes: TOKENS * hidden * size, flops: (TOKENS * hidden) as f64 };
        // With its copy to the host.
        let call = || {
            let rows = exec.pool_finish(&states, &ends, &spans, Pooling::Mean, finish);
            drop(black_box(rows.unwrap()));
        };
        self.run("pool", name, work, call);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let device = match CudaDevice::open(0) {
        Ok(device) => device,
        Err(error) => {
            println!("{error}: nothing is measured");
            return;
        }
    };
    let halves: &[Dtype] =
        if device.has_bf16() { &[Dtype::F16, Dtype::Bf16] } else { &[Dtype::F16] };
    for dtype in [&[Dtype::F32], halves].concat() {
        let exec = device.execs(dtype, Numerics::Fast).unwrap().remove(0);
        let ceilings = ceilings(&exec);
        println!(
            "{}: ceilings {:.0} GB/s, {:.1} TFLOP/s",
            exec.describe(),
            ceilings.bytes_per_second / 1e9,
            ceilings.flops_per_second / 1e12
        );
        let mut bench = Bench { criterion: &mut criterion, exec: &exec, ceilings };
        for (name, hidden, heads, inner) in SHAPES {
            bench.shape(name, hidden, heads, inner);
        }
    }
    criterion.final_summary();
}
