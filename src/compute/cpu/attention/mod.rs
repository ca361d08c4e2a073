//! Variable-length attention over packed sequences, per block of queries and head.
//!
//! Scores are computed transposed: a vector holds one key's with as many queries as it has lanes,
//! so that softmax needs nothing across lanes, and keys are read where the projection left them.
//! Softmax runs online over blocks of keys (Milakov and Gimelshein 2018, arXiv 1805.02867; tiled as
//! in `FlashAttention`, arXiv 2205.14135), so that scores never leave the cache and memory is linear
//! in the sequence. Panels of queries and blocks of keys are counted from the sequence's start, and
//! no lane depends on another: finite results do not depend on the batch or on threads.

mod scratch;
mod task;

use std::ops::Range;

use self::scratch::{MAX_WIDTH, Scratch};
use self::task::Task;
use super::super::attention::{Attend, Attention, BiasWeights, check_sequences};
use super::super::error::{Error, check_len};
use super::bias::Bias;
use super::buffer::{Buffer, Rows, join};
use super::exec::CpuExec;

/// Most queries of a task, for which a head's values are packed once.
const BLOCK_QUERIES: usize = 512;
/// Fewest, where a batch has not a sequence for every thread.
const MIN_BLOCK_QUERIES: usize = 64;

// Tasks start where a panel does, or else the panels would depend on the number of tasks.
const _: () =
    assert!(BLOCK_QUERIES.is_multiple_of(MAX_WIDTH) && MIN_BLOCK_QUERIES.is_multiple_of(MAX_WIDTH));

impl Attend for CpuExec {
    type Bias = Bias;

    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Bias, Error> {
        Bias::new(weights)
    }

    fn attention(
        &self,
        qkv: &Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Buffer, Error> {
        check_len("attention input", qkv.cols(), attention.qkv_dim())?;
        if let Some(bias) = bias {
            check_len("attention bias", bias.heads(), attention.heads)?;
        }
        check_sequences(cu_seqlens, qkv.rows())?;
        let cols = attention.heads * attention.head_dim;
        let mut output = Buffer::take_only(&self.arena, qkv.rows(), cols, self.format());
        let ways = rayon::current_num_threads().div_ceil(cu_seqlens.len().max(2) - 1);
        let layer = Layer { exec: self, qkv: qkv.f32()?, attention, bias, ways };
        layer.sequences(cu_seqlens, output.rows_mut())?;
        Ok(output)
    }
}

/// What all tasks of a call read.
struct Layer<'a> {
    exec: &'a CpuExec,
    qkv: &'a [f32],
    attention: &'a Attention,
    bias: Option<&'a Bias>,
    /// Tasks that a sequence is worth.
    ways: usize,
}

impl Layer<'_> {
    /// Halves the sequences, in parallel, down to one, and that into blocks of queries.
    fn sequences(&self, cu_seqlens: &[u32], rows: Rows<'_>) -> Result<(), Error> {
        match cu_seqlens.len() {
            0 | 1 => Ok(()),
            2 => {
                let sequence = cu_seqlens[0] as usize..cu_seqlens[1] as usize;
                let share = sequence.len().div_ceil(self.ways);
                let share = share.next_multiple_of(MAX_WIDTH);
                rows.for_each_block(share.clamp(MIN_BLOCK_QUERIES, BLOCK_QUERIES), &|rows| {
                    self.queries(sequence.clone(), rows);
                    Ok(())
                })
            }
            ends => {
                let middle = ends / 2;
                let (left, right) = rows.split_at((cu_seqlens[middle] - cu_seqlens[0]) as usize);
                let (left, right) = join(
                    || self.sequences(&cu_seqlens[..=middle], left),
                    || self.sequences(&cu_seqlens[middle..], right),
                );
                left.and(right)
            }
        }
    }

    /// All heads of a block of one sequence's queries.
    fn queries(&self, sequence: Range<usize>, mut rows: Rows<'_>) {
        let Self { exec, attention, bias, .. } = *self;
        let (cols, in_cols) = (rows.cols, attention.qkv_dim());
        let first = rows.first - sequence.start;
        let queries = first..first + rows.len;
        let mut room = None;
        let output = match &mut rows.f32 {
            Some(f32) => &mut f32[..],
            None => &mut room.insert(exec.arena.take(rows.len * cols))[..],
        };
        let width = 2 * exec.isa.lanes();
        let sizes = Scratch::sizes(queries.len(), attention.head_dim, width);
        let mut memory = exec.arena.take(sizes.iter().sum());
        let scratch = Scratch::new(&mut memory, sizes);
        let qkv = &self.qkv[sequence.start * in_cols..sequence.end * in_cols];
        exec.isa.run(Task { qkv, attention, bias, queries, scratch, output });
        if let Some(narrow) = &mut rows.narrow {
            narrow.write(exec.isa, output, cols);
        }
    }
}
