//! Norms: alone, and fused with the residual sums that precede them.

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::CUdeviceptr;

use super::super::dtype::Dtype;
use super::super::error::{Error, check_len};
use super::super::norm::{NormKind, NormWeights, Norms};
use super::buffer::{Buffer, add_wide, convert, take, widen};
use super::dtype::suffix;
use super::exec::CudaExec;
use super::grid::by_warps;
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;

/// A norm over `[len]`.
pub struct Norm {
    weight: Memory,
    bias: Option<Memory>,
    kind: NormKind,
    eps: f32,
    pub(super) len: usize,
}

/// `Norm` of `kernels/values.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct NormArgument {
    weight: CUdeviceptr,
    bias: CUdeviceptr,
    eps: f32,
    kind: u32,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for NormArgument {}

impl NormArgument {
    /// No norm.
    pub(super) const NONE: Self = Self { weight: 0, bias: 0, eps: 0.0, kind: 0 };
}

impl Norm {
    pub(super) fn argument(&self) -> NormArgument {
        NormArgument {
            weight: self.weight.pointer(),
            bias: self.bias.as_ref().map_or(0, Memory::pointer),
            eps: self.eps,
            kind: match self.kind {
                NormKind::Layer => 0,
                NormKind::Rms => 1,
            },
        }
    }
}

impl Norms for CudaExec {
    type Norm = Norm;

    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Norm, Error> {
        let stream = &self.lane.stream;
        weights.check()?;
        let NormWeights { kind, weight, bias, eps } = weights;
        let bias = bias.map(|bias| Memory::holding(stream, bias)).transpose()?;
        Ok(Norm { weight: Memory::holding(stream, weight)?, bias, kind, eps, len: weight.len() })
    }

    fn norm(&self, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        launch_norm(&self.lane, x, &NormInputs::default(), norm)
    }

    fn add_norm(
        &self,
        x: Buffer,
        inner: Option<&Norm>,
        residual: &mut Buffer,
        norm: &Norm,
    ) -> Result<Buffer, Error> {
        widen(&self.lane, residual)?;
        let inputs = NormInputs { inner, residual: Some(&residual.memory), stream: Stream::Sum };
        check_residual(&x, residual)?;
        launch_norm(&self.lane, &x, &inputs, norm)
    }

    fn residual_norm(&self, x: Buffer, residual: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        check_residual(&x, residual)?;
        let run = |residual: &Memory| {
            let residual = Some(residual);
            let inputs = NormInputs { residual, stream: Stream::Output, ..NormInputs::default() };
            launch_norm(&self.lane, &x, &inputs, norm)
        };
        match (&residual.wide, residual.dtype) {
            (Some(wide), _) => run(wide),
            (None, Dtype::F32) => run(&residual.memory),
            (None, _) => run(&convert(&self.lane, residual, Dtype::F32)?.memory),
        }
    }
}

/// Where the residual stream goes on after a norm.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stream {
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
struct NormInputs<'a> {
    /// Applied to the rows before anything is added.
    inner: Option<&'a Norm>,
    /// f32, of the rows' shape.
    residual: Option<&'a Memory>,
    stream: Stream,
}

fn check_residual(x: &Buffer, residual: &Buffer) -> Result<(), Error> {
    check_len("residual columns", residual.cols, x.cols)?;
    check_len("residual rows", residual.rows, x.rows)
}

/// `norm(inner(x) + residual)`.
fn launch_norm(
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
    // SAFETY: input and output have `rows` by `cols` values in the kernel's dtype, as many as both
    // norms. `residual`, which is also the sum, has the same in f32, as `check_residual` has seen,
    // and so has `wide`; each may be null.
    unsafe {
        launch!(lane, &format!("norm_{}", suffix(x.dtype)), grid, threads, shared;
            &x.pointer(), &inner, &residual, &sum, &norm.argument(), &output.pointer(), &wide,
            &(x.rows as u32), &(x.cols as u32))
    }?;
    Ok(output)
}
