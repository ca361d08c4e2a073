//! Similarities of unit vectors of MiniLM's size in every format, on one thread.
//!
//! Products are those that are computed: half of them where rows meet themselves. Bytes are what a
//! scan reads.
#![expect(clippy::print_stdout, reason = "rates stand beside criterion's lines")]

#[path = "../tests/it/support/random_model.rs"]
#[allow(dead_code, reason = "random values alone are used")]
mod random_model;
mod rates;

use std::fs;

use chunkflow::compute::{CpuExec, Dtype, Pairs};
use chunkflow::similarity::{
    Device, Rows, bits, duplicates, int8, pairwise, scan, threshold, top_k,
};
use criterion::BenchmarkId;
use half::{bf16, f16};

use self::random_model::SplitMix64;
use self::rates::{Bench, Work, on_one_thread};

/// Of an array that fits no cache.
const MEMORY_BYTES: usize = 1 << 30;
const DIM: usize = 384;
/// Rows of whole matrices, of long bands and of scans.
const MATRIX: usize = 16_384;
const CORPUS: usize = 1_000_000;
/// Neighbours in a band.
const WIDTH: usize = 64;
const K: usize = 10;

/// Rows of length one in every format.
struct Vectors {
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    int8: (Vec<i8>, Vec<f32>),
    bits: Vec<u8>,
}

impl Vectors {
    fn new(len: usize) -> Self {
        let mut values = SplitMix64::new(1).values(len * DIM, 1.0);
        for row in values.chunks_exact_mut(DIM) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            for x in row {
                *x /= norm;
            }
        }
        let quantised = int8(&values, DIM).expect("rows are whole");
        Self {
            f16: values.iter().map(|&x| f16::from_f32(x)).collect(),
            bf16: values.iter().map(|&x| bf16::from_f32(x)).collect(),
            int8: (quantised.values, quantised.scales),
            bits: bits(&values, DIM).expect("rows are whole"),
            f32: values,
        }
    }

    /// The rows in each format, with the bytes of a row and what their products are measured by.
    fn formats(&self) -> [(Rows<'_>, usize, Dtype); 5] {
        [
            (Rows::f32(&self.f32, DIM), 4 * DIM, Dtype::F32),
            (Rows::f16(&self.f16, DIM), 2 * DIM, Dtype::F32),
            (Rows::bf16(&self.bf16, DIM), 2 * DIM, Dtype::F32),
            (Rows::int8(&self.int8.0, &self.int8.1, DIM), DIM + 4, Dtype::Int8),
            (Rows::binary(&self.bits, DIM), DIM / 8, Dtype::Int8),
        ]
        .map(|(made, bytes, dtype)| (made.expect("rows are whole"), bytes, dtype))
    }
}

/// Bands go to memory that is there already.
fn band(bench: &mut Bench, vectors: &Vectors, len: usize) {
    let exec = CpuExec::with(bench.isa, Dtype::F32);
    let rows = Rows::f32(&vectors.f32[..len * DIM], DIM).expect("rows are whole");
    let mut output = vec![1.0; len * WIDTH];
    let pairs = len * WIDTH - WIDTH * (WIDTH - 1) / 2;
    let work = Work::Products(Dtype::F32, 2 * pairs * DIM);
    let id = BenchmarkId::new(format!("f32x{WIDTH}"), len);
    let run = |()| exec.band(rows, WIDTH, &mut output).expect("the band fits");
    bench.measure("band", id, work, || (), run);
    let run = || exec.band(rows, WIDTH, &mut output).expect("the band fits");
    if let Some(bytes) = extra_memory(run) {
        println!("{:24}memory: {:.1} MiB above input and output", "", bytes as f64 / 1_048_576.0);
    }
}

/// How far resident memory rises while `run` runs, where the system tells.
fn extra_memory(run: impl FnOnce()) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // The peak starts again from here.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    let before = kib("VmRSS:")?;
    run();
    Some(1_024 * kib("VmHWM:")?.saturating_sub(before))
}

/// Rows with themselves, of which half the products are computed, and with others.
fn matrices(bench: &mut Bench, vectors: &Vectors) {
    let device = Device::cpu(bench.isa);
    let mut output = vec![1.0; MATRIX * MATRIX];
    let half = 2 * (MATRIX * (MATRIX + 1) / 2) * DIM;
    for (rows, _, dtype) in vectors.formats() {
        let rows = rows.slice(0..MATRIX);
        let id = BenchmarkId::new(format!("{}_symmetric", rows.format()), MATRIX);
        let run = |()| pairwise(&device, rows, rows, &mut output).expect("the matrix fits");
        bench.measure("pairwise", id, Work::Products(dtype, half), || (), run);
        let id = BenchmarkId::new(format!("{}_symmetric", rows.format()), MATRIX);
        let run = |()| top_k(&device, rows, rows, K, true).expect("the rows are searched");
        bench.measure("top_10", id, Work::Products(dtype, half), || (), run);
    }
    let rows = Rows::f32(&vectors.f32[..MATRIX * DIM], DIM).expect("rows are whole");
    let others = Rows::f32(&vectors.f32[MATRIX * DIM..2 * MATRIX * DIM], DIM);
    let others = others.expect("rows are whole");
    let (id, work) = (BenchmarkId::new("f32", MATRIX), Work::Products(Dtype::F32, 2 * half));
    let run = |()| pairwise(&device, rows, others, &mut output).expect("the matrix fits");
    bench.measure("pairwise", id.clone(), work, || (), run);
    let run = |()| top_k(&device, rows, others, K, false).expect("the rows are searched");
    bench.measure("top_10", id.clone(), work, || (), run);
    let run = |()| threshold(&device, rows, others, 0.25, Pairs::All).expect("the pairs fit");
    bench.measure("threshold", id.clone(), work, || (), run);
    let run = |()| duplicates(&device, rows, 0.25).expect("the pairs fit");
    bench.measure("duplicates", id, Work::Products(Dtype::F32, half), || (), run);
}

/// One query, and a few, over rows that no cache holds.
fn scans(bench: &mut Bench, vectors: &Vectors) {
    let device = Device::cpu(bench.isa);
    for (rows, bytes, _) in vectors.formats() {
        for queries in [1, 4] {
            let id = BenchmarkId::new(format!("{}_{queries}", rows.format()), rows.len());
            let queries = rows.slice(0..queries);
            let run = |()| scan(&device, queries, rows, K).expect("the rows are searched");
            bench.measure("scan", id, Work::Bytes(bytes * rows.len()), || (), run);
        }
    }
}

fn similarity() {
    let mut bench = Bench::new("similarity", MEMORY_BYTES);
    let vectors = Vectors::new(CORPUS);
    for len in [2_000, CORPUS] {
        band(&mut bench, &vectors, len);
    }
    matrices(&mut bench, &vectors);
    scans(&mut bench, &vectors);
    bench.finish();
}

fn main() {
    on_one_thread(similarity);
}
