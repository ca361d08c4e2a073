//! Launches of the kernels that work row by row, one function a kernel.

use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};

use super::super::dtype::Dtype;
use super::super::error::{Error, check_indices, check_len};
use super::super::operands::{Activation, Attention, Epilogue, Finish, Pooling, Span, Tokens};
use super::buffer::{Buffer, Norm, NormArgument, Rotary, Table, Tables};
use super::device::driver_error;
use super::lane::{Lane, launch};
use super::memory::Memory;
use super::products::bytes_of;

/// Threads of a block where a kernel leaves that open, and the most that its bounds allow.
const THREADS: u32 = 256;
/// Lanes of a warp.
const WARP: u32 = 32;
/// Shared memory of a block that keeps several blocks on a multiprocessor.
const SHARED_BYTES: usize = 48 << 10;
/// Blocks of kernels that loop over their grid: a few for every multiprocessor of any device.
const MAX_BLOCKS: usize = 4096;

/// How kernels' names end.
pub(super) fn suffix(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "f16",
        Dtype::Bf16 => "bf16",
        Dtype::F32 | Dtype::Int8 => "f32",
    }
}

/// A new buffer whose contents are anything.
pub(super) fn take(lane: &Lane, rows: usize, cols: usize, dtype: Dtype) -> Result<Buffer, Error> {
    let memory = lane.pool.take(rows * cols * bytes_of(dtype))?;
    Ok(Buffer::new(memory, rows, cols, dtype))
}

/// Blocks of warps, a warp and `cols` floats of shared memory a row: grid, threads, shared bytes.
fn by_warps(rows: usize, cols: usize) -> ((u32, u32, u32), u32, u32) {
    // Whole blocks of `SharedRow` in either width.
    let cols = cols.next_multiple_of(WARP as usize * 8);
    let fitting = SHARED_BYTES / (4 * cols.max(1));
    let warps = fitting.clamp(1, (THREADS / WARP) as usize);
    (((rows.div_ceil(warps)) as u32, 1, 1), warps as u32 * WARP, (4 * cols * warps) as u32)
}

/// Blocks for `items` of threads that loop over the grid.
fn by_items(items: usize) -> (u32, u32, u32) {
    (items.div_ceil(THREADS as usize).clamp(1, MAX_BLOCKS) as u32, 1, 1)
}

pub(super) fn embed_norm(
    lane: &Lane,
    tables: &Tables,
    norm: Option<&Norm>,
    tokens: Tokens<'_>,
    dtype: Dtype,
) -> Result<Buffer, Error> {
    let rows = tokens.ids.len();
    if let Some(norm) = norm {
        check_len("norm", norm.len, tables.hidden)?;
    }
    let send = |what: &'static str, table: Option<&Table>, indices: &[u32]| {
        let Some(table) = table else { return Ok::<_, Error>((0, None)) };
        check_len(what, indices.len(), rows)?;
        check_indices(what, indices, table.entries)?;
        Ok((table.values.pointer(), Some(lane.upload_once(what, indices)?)))
    };
    let (word, ids) = send("token id", Some(&tables.word), tokens.ids)?;
    let (position, positions) = send("position", tables.position.as_ref(), tokens.positions)?;
    let (token_type, types) = send("token type", tables.token_type.as_ref(), tokens.type_ids)?;
    let at = |sent: &Option<Arc<Memory>>| sent.as_ref().map_or(0, |sent| sent.pointer());
    let mut output = take(lane, rows, tables.hidden, dtype)?;
    let wide = add_wide(lane, &mut output)?;
    if rows == 0 {
        return Ok(output);
    }
    let norm = norm.map_or(NormArgument::NONE, Norm::argument);
    let (grid, threads, shared) = by_warps(rows, tables.hidden);
    launch!(lane, &format!("embed_norm_{}", suffix(dtype)), grid, threads, shared;
        &at(&ids), &at(&types), &at(&positions), &word, &position, &token_type, &norm,
        &output.pointer(), &wide, &(rows as u32), &(tables.hidden as u32))?;
    Ok(output)
}

/// Gives a narrow buffer a copy in f32, to be written; its address, or null.
fn add_wide(lane: &Lane, buffer: &mut Buffer) -> Result<CUdeviceptr, Error> {
    if buffer.dtype == Dtype::F32 {
        return Ok(0);
    }
    let wide = lane.take::<f32>(buffer.rows * buffer.cols)?;
    let pointer = wide.pointer();
    buffer.wide = Some(wide);
    Ok(pointer)
}

/// Makes `buffer` its own f32 copy, as a residual stream that is to be added to.
pub(super) fn widen(lane: &Lane, buffer: &mut Buffer) -> Result<(), Error> {
    if buffer.dtype == Dtype::F32 {
        return Ok(());
    }
    let memory = match buffer.wide.take() {
        Some(wide) => wide,
        None => convert(lane, buffer, Dtype::F32)?.memory,
    };
    *buffer = Buffer::new(memory, buffer.rows, buffer.cols, Dtype::F32);
    Ok(())
}

/// Where the residual stream goes on after a norm.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stream {
    /// Nowhere: nothing is added to what the norm gives.
    #[default]
    None,
    /// In the sum, which is written over the residual.
    Sum,
    /// In the norm's output.
    Output,
}

/// What goes into a norm besides its rows.
#[derive(Default)]
pub(super) struct NormInputs<'a> {
    /// Applied to the rows before anything is added.
    pub(super) inner: Option<&'a Norm>,
    /// f32, of the rows' shape.
    pub(super) residual: Option<&'a Memory>,
    pub(super) stream: Stream,
}

pub(super) fn check_residual(x: &Buffer, residual: &Buffer) -> Result<(), Error> {
    check_len("residual columns", residual.cols, x.cols)?;
    check_len("residual rows", residual.rows, x.rows)
}

/// `norm(inner(x) + residual)`.
pub(super) fn norm(
    lane: &Lane,
    x: &Buffer,
    inputs: &NormInputs<'_>,
    norm: &Norm,
) -> Result<Buffer, Error> {
    for norm in inputs.inner.into_iter().chain([norm]) {
        check_len("norm input", x.cols, norm.len)?;
    }
    let mut output = take(lane, x.rows, x.cols, x.dtype)?;
    let wide = match inputs.stream {
        Stream::Output => add_wide(lane, &mut output)?,
        Stream::None | Stream::Sum => 0,
    };
    if x.rows == 0 {
        return Ok(output);
    }
    let inner = inputs.inner.map_or(NormArgument::NONE, Norm::argument);
    let residual: CUdeviceptr = inputs.residual.map_or(0, Memory::pointer);
    let sum = if inputs.stream == Stream::Sum { residual } else { 0 };
    let (grid, threads, shared) = by_warps(x.rows, x.cols);
    launch!(lane, &format!("norm_{}", suffix(x.dtype)), grid, threads, shared;
        &x.pointer(), &inner, &residual, &sum, &norm.argument(), &output.pointer(), &wide,
        &(x.rows as u32), &(x.cols as u32))?;
    Ok(output)
}

fn code(activation: Activation) -> u32 {
    match activation {
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
        Activation::Silu => 4,
        Activation::Tanh => 5,
    }
}

/// Bias and the nonlinearity of `epilogue` over a product.
pub(super) fn activate(
    lane: &Lane,
    x: Buffer,
    bias: Option<&Memory>,
    epilogue: Epilogue,
) -> Result<Buffer, Error> {
    let cols = epilogue.columns(x.cols)?;
    let (activation, gated) = match epilogue {
        Epilogue::None => return Ok(x),
        Epilogue::Activate(activation) => (code(activation), 0_u32),
        Epilogue::Gate(activation) => (code(activation), 1),
    };
    let (pointer, rows, dtype) = (x.pointer(), x.rows, x.dtype);
    let output = if gated == 1 { take(lane, rows, cols, dtype)? } else { x };
    if rows * cols == 0 {
        return Ok(output);
    }
    let chunks = rows * cols.div_ceil(16 / bytes_of(dtype));
    let bias: CUdeviceptr = bias.map_or(0, Memory::pointer);
    launch!(lane, &format!("activate_{}", suffix(dtype)), by_items(chunks), THREADS, 0;
        &pointer, &bias, &output.pointer(), &(rows as u32), &(cols as u32), &activation, &gated)?;
    Ok(output)
}

/// `x` in another dtype.
pub(super) fn convert(lane: &Lane, x: &Buffer, dtype: Dtype) -> Result<Buffer, Error> {
    let output = take(lane, x.rows, x.cols, dtype)?;
    let values = x.rows * x.cols;
    if values > 0 {
        let name = format!("convert_{}_{}", suffix(x.dtype), suffix(dtype));
        launch!(lane, &name, by_items(values.div_ceil(8)), THREADS, 0;
            &x.pointer(), &output.pointer(), &values)?;
    }
    Ok(output)
}

/// `Heads` of `kernels/rotary.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Heads {
    queries: u32,
    keys: u32,
    dim: u32,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for Heads {}

pub(super) fn rotary(
    lane: &Lane,
    qkv: Buffer,
    positions: &[u32],
    attention: &Attention,
    norms: Option<&[Norm; 2]>,
    rotary: &Rotary,
) -> Result<Buffer, Error> {
    let Attention { heads, kv_heads, head_dim, .. } = *attention;
    check_len("rotary input", qkv.cols, attention.qkv_dim())?;
    check_len("positions", positions.len(), qkv.rows)?;
    check_len("rotary pairs", rotary.pairs, head_dim / 2)?;
    for norm in norms.into_iter().flatten() {
        check_len("head norm", norm.len, head_dim)?;
    }
    check_indices("position", positions, rotary.positions)?;
    if qkv.rows == 0 || head_dim < 2 {
        return Ok(qkv);
    }
    let sent = lane.upload_once("position", positions)?;
    let [query_norm, key_norm] =
        norms.map_or([NormArgument::NONE; 2], |norms| norms.each_ref().map(Norm::argument));
    let shape = Heads { queries: heads as u32, keys: kv_heads as u32, dim: head_dim as u32 };
    // Lanes of a head: each takes 16 bytes of either half.
    let chunks = (head_dim / 2).div_ceil(16 / bytes_of(qkv.dtype));
    let group = chunks.next_power_of_two().min(WARP as usize);
    let grid = ((qkv.rows * (heads + kv_heads) * group).div_ceil(THREADS as usize) as u32, 1, 1);
    launch!(lane, &format!("rotary_{}", suffix(qkv.dtype)), grid, THREADS, 0;
        &qkv.pointer(), &sent.pointer(), &rotary.cos.pointer(), &rotary.sin.pointer(),
        &query_norm, &key_norm, &shape, &(qkv.rows as u32), &(group as u32))?;
    Ok(qkv)
}

/// How pooled rows leave the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// f32.
    F32,
    /// `round(127 x)` as i8, for vectors of length one.
    Int8,
    /// A bit for every `x > 0`, eight a byte, the first column in the highest.
    Binary,
}

impl Format {
    /// Bytes of a row of `dims`.
    pub(super) fn row_bytes(self, dims: usize) -> usize {
        match self {
            Self::F32 => 4 * dims,
            Self::Int8 => dims,
            Self::Binary => dims.div_ceil(8),
        }
    }
}

/// `Pool` of `kernels/pool.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PoolArgument {
    cols: u32,
    dims: u32,
    normalize: u32,
    format: u32,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for PoolArgument {}

/// The rows of each span, `[spans, 2]`, of which the kernel takes the mean.
pub(super) fn span_rows(
    cu_seqlens: &[u32],
    spans: &[Span],
    pooling: Pooling,
) -> Result<Vec<u32>, Error> {
    let mut rows = Vec::with_capacity(2 * spans.len());
    for span in spans {
        let tokens = span.rows(cu_seqlens)?;
        let (first, end) = match pooling {
            Pooling::Mean => (tokens.start, tokens.end),
            Pooling::Cls => (tokens.start, tokens.start + 1),
            Pooling::LastToken => (tokens.end - 1, tokens.end),
        };
        rows.extend([first as u32, end as u32]);
    }
    Ok(rows)
}

/// Means of rows, finished, in one launch: a block of `format.row_bytes(dims)` a span.
pub(super) fn pool(
    lane: &Lane,
    hidden: &Buffer,
    rows: &[u32],
    finish: Finish,
    format: Format,
) -> Result<Memory, Error> {
    finish.check(hidden.cols)?;
    check_indices("row of a span", rows, hidden.rows + 1)?;
    let (pointer, dtype) = match &hidden.wide {
        Some(wide) => (wide.pointer(), Dtype::F32),
        None => (hidden.pointer(), hidden.dtype),
    };
    let spans = rows.len() / 2;
    let output = lane.take::<u8>(spans * format.row_bytes(finish.dims))?;
    if spans == 0 {
        return Ok(output);
    }
    let sent = lane.upload_once("span rows", rows)?;
    let argument = PoolArgument {
        cols: hidden.cols as u32,
        dims: finish.dims as u32,
        normalize: u32::from(finish.normalize),
        format: format as u32,
    };
    let partial = THREADS as usize * 16 / bytes_of(dtype);
    let shared = 4 * (hidden.cols + partial + (THREADS / WARP) as usize);
    launch!(lane, &format!("pool_{}", suffix(dtype)), (spans as u32, 1, 1), THREADS, shared as u32;
        &pointer, &sent.pointer(), &output.pointer(), &argument)?;
    Ok(output)
}

/// Takes the largest of `x`, rows `begin..` of a batch, into each span's row of `output`.
pub(super) fn span_max(
    lane: &Lane,
    x: &Buffer,
    rows: &[u32],
    output: &Buffer,
    begin: usize,
) -> Result<(), Error> {
    let sent = lane.upload_once("span rows", rows)?;
    let grid = (output.rows as u32, x.cols.div_ceil(4 * THREADS as usize) as u32, 1);
    launch!(lane, "span_max", grid, THREADS, 0;
        &x.pointer(), &sent.pointer(), &output.pointer(), &(begin as u32),
        &((begin + x.rows) as u32), &(x.cols as u32))
}
