//! Every operation of the encoder by dtype, at the shapes of MiniLM and BERT-base, on one thread.
//!
//! Below criterion's own lines stands the rate of the median sample and its share of what this core
//! can do at most, which is measured first: products by the fastest loop that stays in registers,
//! bytes by sums of an array that fits a core's cache and of one that does not. Bytes are what an
//! operation must read and write once; inputs are as the encoder hands them over.
#![expect(clippy::print_stdout, reason = "rates stand beside criterion's lines")]

mod rates;

use chunkflow::compute::{
    Activation, Attend, Attention, Band, Buffers, CpuExec, Dense, DenseWeights, Dtype, Embed,
    Epilogue, Mask, NormKind, NormWeights, Norms, Pool, Pooling, Precision, Projection,
    RotaryWeights, Rotate, Span, TableWeights, Tokens,
};
use criterion::BenchmarkId;

use self::rates::{Bench, DTYPES, Work, on_one_thread};

/// Of an array that does not fit a core's cache.
const MEMORY_BYTES: usize = 64 << 20;
/// Rows of a batch wherever they are not the point.
const TOKENS: usize = 512;
const LENGTH: usize = 128;
const VOCABULARY: usize = 30_522;
/// Band of the Gram matrix.
const WIDTH: usize = 32;

/// Sizes of an encoder with 12 heads.
struct Shape {
    name: &'static str,
    hidden: usize,
    intermediate: usize,
}

const SHAPES: [Shape; 2] = [
    Shape { name: "minilm", hidden: 384, intermediate: 1_536 },
    Shape { name: "bert_base", hidden: 768, intermediate: 3_072 },
];

impl Shape {
    fn attention(&self) -> Attention {
        let head_dim = self.hidden / 12;
        let scale = 1.0 / (head_dim as f32).sqrt();
        Attention { heads: 12, kv_heads: 12, head_dim, scale, mask: Mask::Full }
    }

    /// Name, inner size, features and epilogue of each dense layer.
    fn layers(&self) -> [(&'static str, usize, usize, Epilogue); 4] {
        let Self { hidden, intermediate, .. } = *self;
        [
            ("qkv", hidden, 3 * hidden, Epilogue::None),
            ("output", hidden, hidden, Epilogue::None),
            ("up_gelu", hidden, intermediate, Epilogue::Activate(Activation::Gelu)),
            ("down", intermediate, hidden, Epilogue::None),
        ]
    }
}

fn exec(bench: &Bench, dtype: Dtype) -> CpuExec {
    CpuExec::with(bench.isa, dtype)
}

/// `len` values from -0.5 to 0.5.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7_919 % 1_000) as f32 / 1e3 - 0.5).collect()
}

/// Rows of `cols` values, normalised and narrowed as the encoder's are.
fn rows(exec: &CpuExec, rows: usize, cols: usize) -> <CpuExec as Buffers>::Buffer {
    let x = exec.upload(&values(rows * cols), cols).expect("rows are whole");
    exec.norm(&x, &norm(exec, cols)).expect("the norm fits")
}

fn norm(exec: &CpuExec, cols: usize) -> <CpuExec as Norms>::Norm {
    let (weight, bias) = (vec![1.0; cols], vec![0.1; cols]);
    let kind = NormKind::Layer;
    let weights = NormWeights { kind, weight: &weight, bias: Some(&bias), eps: 1e-12 };
    exec.load_norm(weights).expect("the norm is whole")
}

/// Ends of sequences of `length` tokens each.
fn ends(length: usize) -> Vec<u32> {
    (0..=TOKENS / length).map(|i| (i * length) as u32).collect()
}

fn linear(bench: &mut Bench, shape: &Shape, dtype: Dtype) {
    let exec = exec(bench, dtype);
    for (name, in_features, features, epilogue) in shape.layers() {
        let (weight, bias) = (values(features * in_features), values(features));
        let weights = DenseWeights { weight: &weight, bias: Some(&bias), in_features };
        let layer = exec.load_linear(&[weights], Precision::Working).expect("the layer is whole");
        for tokens in [12, 128, 512] {
            let x = rows(&exec, tokens, in_features);
            let id = BenchmarkId::new(format!("{}_{name}_{dtype}", shape.name), tokens);
            let work = Work::Products(dtype, 2 * tokens * in_features * features);
            let run = |()| exec.linear(&x, &layer, epilogue).expect("the layer fits");
            bench.measure("linear", id, work, || (), run);
        }
    }
}

/// Scores and sums are f32 whatever the dtype, which is that of the output.
fn attention(bench: &mut Bench, shape: &Shape, dtype: Dtype) {
    let exec = exec(bench, dtype);
    let attention = shape.attention();
    let qkv = rows(&exec, TOKENS, attention.qkv_dim());
    for length in [16, 128, 256] {
        let ends = ends(length);
        let id = BenchmarkId::new(format!("12x{}_{dtype}", attention.head_dim), length);
        let work = Work::Products(Dtype::F32, 4 * TOKENS * length * shape.hidden);
        let run = |()| exec.attention(&qkv, &ends, &attention, None).expect("the rows fit");
        bench.measure("attention", id, work, || (), run);
    }
}

/// Words and positions are read, and a row is written.
fn embed_norm(bench: &mut Bench, shape: &Shape, dtype: Dtype) {
    let (exec, hidden) = (exec(bench, dtype), shape.hidden);
    let [word, position, kind] = [VOCABULARY, 512, 2].map(|entries| values(entries * hidden));
    let (position, token_type) = (Some(&position[..]), Some(&kind[..]));
    let tables = TableWeights { hidden, word: &word, position, token_type };
    let tables = exec.load_tables(tables).expect("the tables are whole");
    let norm = norm(&exec, hidden);
    let ids: Vec<u32> = (0..TOKENS).map(|i| (i * 7_919 % VOCABULARY) as u32).collect();
    let positions: Vec<u32> = (0..TOKENS).map(|i| (i % LENGTH) as u32).collect();
    let tokens = Tokens { ids: &ids, type_ids: &vec![0; TOKENS], positions: &positions };
    let id = BenchmarkId::new(format!("{}_{dtype}", shape.name), TOKENS);
    let run = |()| exec.embed_norm(&tables, Some(&norm), tokens).expect("the tokens are known");
    bench.measure("embed_norm", id, Work::Bytes(3 * 4 * TOKENS * hidden), || (), run);
}

/// Both inputs are read, and one is written over.
fn residual_norm(bench: &mut Bench, shape: &Shape, dtype: Dtype) {
    let (exec, hidden) = (exec(bench, dtype), shape.hidden);
    let (residual, norm, x) =
        (rows(&exec, TOKENS, hidden), norm(&exec, hidden), values(TOKENS * hidden));
    let id = BenchmarkId::new(format!("{}_{dtype}", shape.name), TOKENS);
    let prepare = || exec.upload(&x, hidden).expect("rows are whole");
    let run = |x| exec.residual_norm(x, &residual, &norm).expect("the shapes agree");
    bench.measure("residual_norm", id, Work::Bytes(3 * 4 * TOKENS * hidden), prepare, run);
}

/// Queries and keys are read and written over.
fn rotary(bench: &mut Bench, shape: &Shape) {
    let (exec, attention) = (exec(bench, Dtype::F32), shape.attention());
    let half = attention.head_dim / 2;
    let frequencies: Vec<f32> =
        (0..half).map(|j| 1e4_f32.powf(-(j as f32) / half as f32)).collect();
    let weights = RotaryWeights { frequencies: &frequencies, positions: 512 };
    let rotary = exec.load_rotary(weights).expect("the table is made");
    let positions: Vec<u32> = (0..TOKENS).map(|i| (i % LENGTH) as u32).collect();
    let qkv = values(TOKENS * attention.qkv_dim());
    let prepare = || exec.upload(&qkv, attention.qkv_dim()).expect("rows are whole");
    let run = |qkv| {
        exec.rotary(qkv, &positions, &attention, None, &rotary).expect("the positions are known")
    };
    let work = Work::Bytes(2 * 2 * 4 * TOKENS * shape.hidden);
    bench.measure("rotary", BenchmarkId::new(shape.name, TOKENS), work, prepare, run);
}

fn pool(bench: &mut Bench, shape: &Shape) {
    let (exec, hidden) = (exec(bench, Dtype::F32), shape.hidden);
    let (states, ends) = (rows(&exec, TOKENS, hidden), ends(LENGTH));
    let span = |seq: usize| Span { seq: seq as u32, start: 0, end: LENGTH as u32 };
    let spans: Vec<Span> = (0..TOKENS / LENGTH).map(span).collect();
    let run = |()| exec.pool(&states, &ends, &spans, Pooling::Mean).expect("the spans fit");
    let work = Work::Bytes(4 * (TOKENS + spans.len()) * hidden);
    bench.measure("pool", BenchmarkId::new(shape.name, TOKENS), work, || (), run);
}

fn gram(bench: &mut Bench, shape: &Shape) {
    let exec = exec(bench, Dtype::F32);
    let rows = rows(&exec, TOKENS, shape.hidden);
    // The band is cut off at the last row.
    let pairs = TOKENS * WIDTH - WIDTH * (WIDTH - 1) / 2;
    let work = Work::Products(Dtype::F32, 2 * pairs * shape.hidden);
    let run = |()| exec.gram(&rows, WIDTH).expect("the band fits");
    bench.measure("gram", BenchmarkId::new(shape.name, WIDTH), work, || (), run);
}

/// Rows are read, and vectors of all columns are written.
fn finish(bench: &mut Bench, shape: &Shape) {
    let (exec, hidden) = (exec(bench, Dtype::F32), shape.hidden);
    let x = values(TOKENS * hidden);
    let prepare = || exec.upload(&x, hidden).expect("rows are whole");
    let options = Projection { dims: hidden, normalize: true };
    let run = |rows| exec.finish(rows, options).expect("the dimensions fit");
    let work = Work::Bytes(2 * 4 * TOKENS * hidden);
    bench.measure("finish", BenchmarkId::new(shape.name, TOKENS), work, prepare, run);
}

fn ops() {
    let mut bench = Bench::new("ops", MEMORY_BYTES);
    for shape in &SHAPES {
        for dtype in DTYPES {
            linear(&mut bench, shape, dtype);
            attention(&mut bench, shape, dtype);
            embed_norm(&mut bench, shape, dtype);
            residual_norm(&mut bench, shape, dtype);
        }
        for op in [rotary, pool, gram, finish] {
            op(&mut bench, shape);
        }
    }
    bench.finish();
}

fn main() {
    on_one_thread(ops);
}
