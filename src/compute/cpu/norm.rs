//! Norms: alone, behind the embedding lookup, and fused with the residual sum.

use super::super::error::{Error, check_len};
use super::super::operands::{NormKind, NormWeights, TableWeights, Tokens};
use super::buffer::{Buffer, Rows};
use super::exec::CpuExec;
use super::narrow::Format;
use super::simd::{Op, Simd};

/// Rows of a task: enough work to be worth handing to another thread.
const BLOCK_ROWS: usize = 64;

/// A norm over `[H]`.
pub struct Norm {
    kind: NormKind,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    eps: f32,
}

impl Norm {
    pub(super) fn new(weights: NormWeights<'_>) -> Result<Self, Error> {
        let NormWeights { kind, weight, bias, eps } = weights;
        if let Some(bias) = bias {
            check_len("norm bias", bias.len(), weight.len())?;
        }
        Ok(Self { kind, weight: weight.to_vec(), bias: bias.map(<[f32]>::to_vec), eps })
    }

    pub(super) fn check_columns(&self, columns: usize) -> Result<(), Error> {
        check_len("norm weight", self.weight.len(), columns)
    }

    /// Normalises one row in place. Two passes: a one-pass variance loses digits to cancellation.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, row: &mut [f32]) {
        let len = row.len() as f32;
        let mean = match self.kind {
            NormKind::Layer => sum(simd, row, 0.0, |x| x) / len,
            NormKind::Rms => 0.0,
        };
        let shift = simd.splat(mean);
        let squares = sum(simd, row, mean, |x| {
            let deviation = simd.sub(x, shift);
            simd.mul(deviation, deviation)
        });
        let variance = squares / len;
        let factor = simd.splat(1.0 / (variance + self.eps).sqrt());
        let zeros: &[f32] = &[];
        let bias = self.bias.as_deref().unwrap_or(zeros);
        for (index, x) in row.chunks_mut(S::LANES).enumerate() {
            let at = index * S::LANES;
            let weight = simd.load_head(&self.weight[at..]);
            let centred = simd.mul(simd.sub(simd.load_head(x), shift), factor);
            let bias = simd.load_head(&bias[at.min(bias.len())..]);
            simd.store_head(x, simd.mul_add(centred, weight, bias));
        }
    }
}

/// The sum of a function of a row's values, in four interleaved parts; the function of `fill` is 0.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32], fill: f32, value: impl Fn(S::F32) -> S::F32) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let mut blocks = row.chunks_exact(4 * S::LANES);
    for block in blocks.by_ref() {
        for (part, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add(*sum, value(simd.load_head(&block[part * S::LANES..])));
        }
    }
    for (x, sum) in blocks.remainder().chunks(S::LANES).zip(&mut sums) {
        *sum = simd.add(*sum, value(simd.load_head_or(x, fill)));
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}

/// Embedding tables, `[entries, H]` each.
pub struct Tables {
    hidden: usize,
    word: Vec<f32>,
    position: Option<Vec<f32>>,
    token_type: Option<Vec<f32>>,
}

impl Tables {
    pub(super) fn new(weights: TableWeights<'_>) -> Result<Self, Error> {
        let hidden = weights.hidden.max(1);
        for table in [Some(weights.word), weights.position, weights.token_type].iter().flatten() {
            check_len("embeddings beyond whole rows", table.len() % hidden, 0)?;
        }
        Ok(Self {
            hidden,
            word: weights.word.to_vec(),
            position: weights.position.map(<[f32]>::to_vec),
            token_type: weights.token_type.map(<[f32]>::to_vec),
        })
    }

    /// The rows that are summed for `token`; none where there is no such table.
    fn rows(&self, tokens: Tokens<'_>, token: usize) -> Result<[&[f32]; 3], Error> {
        let token_types = self.token_type.as_deref();
        let positions = self.position.as_deref();
        Ok([
            entry("token id", Some(&self.word), tokens.ids[token], self.hidden)?,
            entry("token type", token_types, tokens.type_ids[token], self.hidden)?,
            entry("position", positions, tokens.positions[token], self.hidden)?,
        ])
    }
}

/// Row `index` of a table; empty where there is none.
fn entry<'a>(
    what: &'static str,
    table: Option<&'a [f32]>,
    index: u32,
    hidden: usize,
) -> Result<&'a [f32], Error> {
    let Some(table) = table else { return Ok(&[]) };
    let index = index as usize;
    table.get(index * hidden..(index + 1) * hidden).ok_or(Error::Index {
        what,
        index,
        limit: table.len() / hidden,
    })
}

/// See [`Exec::embed_norm`](super::Exec::embed_norm).
pub(super) fn embed_norm(
    exec: &CpuExec,
    tables: &Tables,
    norm: Option<&Norm>,
    tokens: Tokens<'_>,
) -> Result<Buffer, Error> {
    let hidden = tables.hidden;
    norm.map_or(Ok(()), |norm| norm.check_columns(hidden))?;
    check_len("token types", tokens.type_ids.len(), tokens.ids.len())?;
    check_len("positions", tokens.positions.len(), tokens.ids.len())?;
    let mut output = Buffer::take(&exec.arena, tokens.ids.len(), hidden, exec.format());
    output
        .rows_mut()
        .for_each_block(BLOCK_ROWS, &|rows| exec.isa.run(Embed { tables, norm, tokens, rows }))?;
    Ok(output)
}

/// Sums and normalises the table rows of a block of tokens.
struct Embed<'a, 'b> {
    tables: &'a Tables,
    norm: Option<&'a Norm>,
    tokens: Tokens<'a>,
    rows: Rows<'b>,
}

impl Op for Embed<'_, '_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) -> Result<(), Error> {
        let Self { tables, norm, tokens, mut rows } = self;
        for index in 0..rows.len {
            let [word, token_type, position] = tables.rows(tokens, rows.first + index)?;
            let row = rows.row(index);
            row.copy_from_slice(word);
            add(simd, row, token_type);
            add(simd, row, position);
            if let Some(norm) = norm {
                norm.apply(simd, row);
            }
            rows.narrow(simd, index);
        }
        Ok(())
    }
}

/// What stands before a norm.
#[derive(Clone, Copy)]
enum Sum<'a> {
    /// Nothing: the row is another buffer's.
    Copy(&'a [f32]),
    /// The row plus another buffer's.
    Add(&'a [f32]),
}

/// See [`Exec::residual_norm`](super::Exec::residual_norm).
pub(super) fn residual_norm(
    exec: &CpuExec,
    mut x: Buffer,
    residual: &Buffer,
    norm: &Norm,
) -> Result<Buffer, Error> {
    check_shapes(&x, residual, norm)?;
    x.renew(&exec.arena, exec.format())?;
    let sum = Sum::Add(residual.f32()?);
    x.rows_mut().for_each_block(BLOCK_ROWS, &|rows| exec.isa.run(Apply { sum, norm, rows }))?;
    Ok(x)
}

/// See [`Exec::add_norm`](super::Exec::add_norm).
pub(super) fn add_norm(
    exec: &CpuExec,
    x: &Buffer,
    residual: &mut Buffer,
    norm: &Norm,
) -> Result<Buffer, Error> {
    check_shapes(x, residual, norm)?;
    let addend = x.f32()?;
    residual.renew(&exec.arena, Format::F32)?;
    residual.rows_mut().for_each_block(BLOCK_ROWS, &|rows| {
        exec.isa.run(Accumulate { addend, rows });
        Ok(())
    })?;
    self::norm(exec, residual, norm)
}

/// See [`Exec::norm`](super::Exec::norm).
pub(super) fn norm(exec: &CpuExec, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
    norm.check_columns(x.cols())?;
    let mut output = Buffer::take(&exec.arena, x.rows(), x.cols(), exec.format());
    let sum = Sum::Copy(x.f32()?);
    output
        .rows_mut()
        .for_each_block(BLOCK_ROWS, &|rows| exec.isa.run(Apply { sum, norm, rows }))?;
    Ok(output)
}

fn check_shapes(x: &Buffer, residual: &Buffer, norm: &Norm) -> Result<(), Error> {
    check_len("residual", residual.rows(), x.rows())?;
    check_len("residual columns", residual.cols(), x.cols())?;
    norm.check_columns(x.cols())
}

/// Sums and normalises a block of rows.
struct Apply<'a, 'b> {
    sum: Sum<'a>,
    norm: &'a Norm,
    rows: Rows<'b>,
}

impl Op for Apply<'_, '_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) -> Result<(), Error> {
        let Self { sum, norm, mut rows } = self;
        for index in 0..rows.len {
            let start = (rows.first + index) * rows.cols;
            let other = start..start + rows.cols;
            let row = rows.row(index);
            match sum {
                Sum::Copy(x) => row.copy_from_slice(&x[other]),
                Sum::Add(x) => add(simd, row, &x[other]),
            }
            norm.apply(simd, row);
            rows.narrow(simd, index);
        }
        Ok(())
    }
}

/// Adds another buffer's rows to a block of rows.
struct Accumulate<'a, 'b> {
    addend: &'a [f32],
    rows: Rows<'b>,
}

impl Op for Accumulate<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { addend, rows } = self;
        let start = rows.first * rows.cols;
        add(simd, rows.f32.unwrap_or_default(), &addend[start..start + rows.len * rows.cols]);
    }
}

/// `row += other`.
#[inline(always)]
fn add<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    for (x, y) in row.chunks_mut(S::LANES).zip(other.chunks(S::LANES)) {
        simd.store_head(x, simd.add(simd.load_head(x), simd.load_head(y)));
    }
}
