//! Norms: alone, behind the embedding lookup, and fused with the residual sum.

use rayon::prelude::*;
use rten_simd::SimdOp;
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquare, SumSquareSub};

use super::super::exec::{Error, check_len};
use super::super::operands::{NormKind, NormWeights, TableWeights, Tokens};
use super::arena::{Arena, Buffer};

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
    pub(super) fn apply(&self, row: &mut [f32]) {
        let len = row.len() as f32;
        let (mean, variance) = match self.kind {
            NormKind::Layer => {
                let mean = Sum::new(row).dispatch() / len;
                (mean, SumSquareSub::new(row, mean).dispatch() / len)
            }
            NormKind::Rms => (0.0, SumSquare::new(row).dispatch() / len),
        };
        let options = NormalizeOptions {
            pre_scale_bias: mean,
            scale: 1.0 / (variance + self.eps).sqrt(),
            element_scale: Some(&self.weight),
            element_bias: self.bias.as_deref(),
            bias: 0.0,
        };
        Normalize::new_mut(row, options).dispatch();
    }
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
}

/// See [`Exec::embed_norm`](super::Exec::embed_norm).
pub(super) fn embed_norm(
    arena: &Arena,
    tables: &Tables,
    norm: Option<&Norm>,
    tokens: Tokens<'_>,
) -> Result<Buffer, Error> {
    let hidden = tables.hidden;
    norm.map_or(Ok(()), |norm| norm.check_columns(hidden))?;
    check_len("token types", tokens.type_ids.len(), tokens.ids.len())?;
    check_len("positions", tokens.positions.len(), tokens.ids.len())?;
    let mut output = arena.take(tokens.ids.len(), hidden);
    output.par_chunks_mut(hidden).with_min_len(BLOCK_ROWS).enumerate().try_for_each(
        |(token, row)| {
            row.copy_from_slice(entry("token id", &tables.word, tokens.ids[token], hidden)?);
            if let Some(table) = &tables.token_type {
                add(row, entry("token type", table, tokens.type_ids[token], hidden)?);
            }
            if let Some(table) = &tables.position {
                add(row, entry("position", table, tokens.positions[token], hidden)?);
            }
            if let Some(norm) = norm {
                norm.apply(row);
            }
            Ok::<_, Error>(())
        },
    )?;
    Ok(output)
}

/// See [`Exec::residual_norm`](super::Exec::residual_norm).
pub(super) fn residual_norm(
    mut x: Buffer,
    residual: &Buffer,
    norm: &Norm,
) -> Result<Buffer, Error> {
    check_len("residual", residual.len(), x.len())?;
    check_len("residual columns", residual.cols(), x.cols())?;
    norm.check_columns(x.cols())?;
    let cols = x.cols();
    x.par_chunks_mut(cols).zip(residual.par_chunks(cols)).with_min_len(BLOCK_ROWS).for_each(
        |(row, residual)| {
            add(row, residual);
            norm.apply(row);
        },
    );
    Ok(x)
}

/// See [`Exec::add_norm`](super::Exec::add_norm).
pub(super) fn add_norm(mut x: Buffer, residual: &mut Buffer, norm: &Norm) -> Result<Buffer, Error> {
    check_len("residual", residual.len(), x.len())?;
    check_len("residual columns", residual.cols(), x.cols())?;
    norm.check_columns(x.cols())?;
    let cols = x.cols();
    x.par_chunks_mut(cols).zip(residual.par_chunks_mut(cols)).with_min_len(BLOCK_ROWS).for_each(
        |(row, residual)| {
            add(residual, row);
            row.copy_from_slice(residual);
            norm.apply(row);
        },
    );
    Ok(x)
}

/// See [`Exec::norm`](super::Exec::norm).
pub(super) fn norm(arena: &Arena, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
    norm.check_columns(x.cols())?;
    let cols = x.cols();
    let mut output = arena.take(x.rows(), cols);
    output.par_chunks_mut(cols).zip(x.par_chunks(cols)).with_min_len(BLOCK_ROWS).for_each(
        |(row, x)| {
            row.copy_from_slice(x);
            norm.apply(row);
        },
    );
    Ok(output)
}

fn entry<'a>(
    what: &'static str,
    table: &'a [f32],
    index: u32,
    hidden: usize,
) -> Result<&'a [f32], Error> {
    let index = index as usize;
    table.get(index * hidden..(index + 1) * hidden).ok_or(Error::Index {
        what,
        index,
        limit: table.len() / hidden,
    })
}

fn add(row: &mut [f32], other: &[f32]) {
    for (x, y) in row.iter_mut().zip(other) {
        *x += y;
    }
}
