//! Variable-length attention over packed sequences, per sequence, block of queries and head.
//!
//! Memory is linear in the sequence: one block of queries meets all its keys at a time.

use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;
use rten_vecmath::Softmax;

use super::super::exec::{Error, check_len};
use super::super::operands::{Attention, BiasWeights};
use super::arena::{Arena, Buffer};

/// Queries of a task. Fixed, and counted from the sequence's start, so that results do not depend
/// on the batch.
const BLOCK_QUERIES: usize = 128;

/// A bias by distance.
pub enum Bias {
    /// One slope a head.
    Slopes(Vec<f32>),
    /// `[heads, 2 * radius + 1]`.
    Table {
        /// Row-major.
        values: Vec<f32>,
        /// The largest distance that is told apart.
        radius: usize,
    },
}

impl Bias {
    pub(super) fn new(weights: BiasWeights<'_>) -> Result<Self, Error> {
        weights.check()?;
        Ok(match weights {
            BiasWeights::Slopes(slopes) => Self::Slopes(slopes.to_vec()),
            BiasWeights::Table { values, radius } => {
                Self::Table { values: values.to_vec(), radius }
            }
        })
    }

    fn heads(&self) -> usize {
        match self {
            Self::Slopes(slopes) => slopes.len(),
            Self::Table { values, radius } => values.len() / (2 * radius + 1),
        }
    }

    /// Adds to the scores of `query` with the keys from `first_key` on.
    fn add(&self, head: usize, query: usize, first_key: usize, scores: &mut [f32]) {
        let scores = (first_key..).zip(scores);
        match self {
            Self::Slopes(slopes) => {
                for (key, score) in scores {
                    *score -= slopes[head] * key.abs_diff(query) as f32;
                }
            }
            Self::Table { values, radius } => {
                let width = 2 * radius + 1;
                let row = &values[head * width..(head + 1) * width];
                for (key, score) in scores {
                    *score += row[(key + radius).saturating_sub(query).min(2 * radius)];
                }
            }
        }
    }
}

/// A block of one sequence's queries.
struct Task<'a> {
    /// The sequence's rows of the fused projection, `[len, qkv_dim]`.
    qkv: &'a [f32],
    first_query: usize,
    /// The block's rows of the output, `[queries, heads * head_dim]`.
    output: &'a mut [f32],
}

/// Room for one head's scores `[queries, keys]` and result `[queries, head_dim]`.
#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
    result: Vec<f32>,
}

/// See [`Exec::attention`](super::Exec::attention).
pub(super) fn attention(
    arena: &Arena,
    qkv: &Buffer,
    cu_seqlens: &[u32],
    attention: &Attention,
    bias: Option<&Bias>,
) -> Result<Buffer, Error> {
    check_len("attention input", qkv.cols(), attention.qkv_dim())?;
    if let Some(bias) = bias {
        check_len("attention bias", bias.heads(), attention.heads)?;
    }
    let tokens = cu_seqlens.last().map_or(0, |&end| end as usize);
    check_len("attention rows", qkv.rows(), tokens)?;
    let gemm = &GemmExecutor::new();
    let mut output = arena.take(tokens, attention.heads * attention.head_dim);
    let mut tasks = plan_tasks(qkv, &mut output, cu_seqlens, attention);
    tasks.par_iter_mut().try_for_each_init(Scratch::default, |scratch, task| {
        for head in 0..attention.heads {
            attend(gemm, attention, bias, head, task, scratch)?;
        }
        Ok::<_, Error>(())
    })?;
    drop(tasks);
    Ok(output)
}

fn plan_tasks<'a>(
    qkv: &'a [f32],
    mut output: &'a mut [f32],
    cu_seqlens: &[u32],
    attention: &Attention,
) -> Vec<Task<'a>> {
    let (in_cols, out_cols) = (attention.qkv_dim(), attention.heads * attention.head_dim);
    let mut tasks = Vec::new();
    for ends in cu_seqlens.windows(2) {
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        for first_query in (0..end - start).step_by(BLOCK_QUERIES) {
            let queries = BLOCK_QUERIES.min(end - start - first_query);
            let (block, rest) = output.split_at_mut(queries * out_cols);
            output = rest;
            let qkv = &qkv[start * in_cols..end * in_cols];
            tasks.push(Task { qkv, first_query, output: block });
        }
    }
    tasks
}

/// One head of one block: scores, softmax over the visible keys, weighted sum of the values.
fn attend(
    gemm: &GemmExecutor<f32>,
    attention: &Attention,
    bias: Option<&Bias>,
    head: usize,
    task: &mut Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let Attention { heads, kv_heads, head_dim, scale, mask } = *attention;
    let (in_cols, out_cols) = (attention.qkv_dim(), heads * head_dim);
    let len = task.qkv.len() / in_cols;
    let queries = task.output.len() / out_cols;
    let last_query = task.first_query + queries - 1;
    let keys = mask.keys(task.first_query, len).start..mask.keys(last_query, len).end;

    let qkv = NdTensorView::from_data([len, in_cols], task.qkv);
    let column = |head: usize| head * head_dim..(head + 1) * head_dim;
    let kv_head = attention.kv_head(head);
    let query = qkv.slice((task.first_query..last_query + 1, column(head)));
    let key = qkv.slice((keys.clone(), column(heads + kv_head)));
    let value = qkv.slice((keys.clone(), column(heads + kv_heads + kv_head)));

    scratch.scores.resize(queries * keys.len(), 0.0);
    let options = GemmOptions { alpha: scale, ..GemmOptions::default() };
    let (a, b) = (GemmInputA::Unpacked(query), GemmInputB::Unpacked(key.transposed()));
    gemm.gemm(&mut scratch.scores, a, b, options).map_err(Error::Product)?;
    for (row, scores) in scratch.scores.chunks_exact_mut(keys.len()).enumerate() {
        let query = task.first_query + row;
        if let Some(bias) = bias {
            bias.add(head, query, keys.start, scores);
        }
        let seen = mask.keys(query, len);
        let (from, to) = (seen.start - keys.start, seen.end - keys.start);
        scores[..from].fill(0.0);
        scores[to..].fill(0.0);
        Softmax::new_mut(&mut scores[from..to]).dispatch();
    }

    scratch.result.resize(queries * head_dim, 0.0);
    let scores = NdTensorView::from_data([queries, keys.len()], &scratch.scores[..]);
    let (a, b) = (GemmInputA::Unpacked(scores), GemmInputB::Unpacked(value));
    gemm.gemm(&mut scratch.result, a, b, GemmOptions::default()).map_err(Error::Product)?;
    let rows = task.output.chunks_exact_mut(out_cols);
    for (row, result) in rows.zip(scratch.result.chunks_exact(head_dim)) {
        row[column(head)].copy_from_slice(result);
    }
    Ok(())
}
