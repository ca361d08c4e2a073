//! Dense layers: products by cuBLASLt, and the kernels that follow them.

use cudarc::driver::sys::CUdeviceptr;

use super::super::dtype::Dtype;
use super::super::error::{Error, check_len};
use super::super::linear::{Activation, Dense, DenseWeights, Epilogue, Precision};
use super::super::pool::{Pooling, Span};
use super::buffer::{Buffer, convert, take};
use super::dtype::{bytes_of, suffix};
use super::exec::CudaExec;
use super::grid::{THREADS, by_items};
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;
use super::pool::span_rows;
use super::product::Product;

/// Rows of a vocabulary's logits that are held at a time.
const LOGIT_ROWS: usize = 512;

/// A dense layer: `weight: [outputs, inputs]`.
pub struct Linear {
    weight: Memory,
    bias: Option<LinearBias>,
    inputs: usize,
    outputs: usize,
    /// Of weight and input.
    dtype: Dtype,
    output_dtype: Dtype,
}

/// `[outputs]`, for products and for the kernels that follow them.
struct LinearBias {
    working: Memory,
    full: Memory,
}

impl LinearBias {
    /// The bias in an output's dtype, the working one or f32.
    fn of(&self, dtype: Dtype) -> &Memory {
        if dtype == Dtype::F32 { &self.full } else { &self.working }
    }
}

impl Dense for CudaExec {
    type Linear = Linear;

    fn load_linear(
        &self,
        parts: &[DenseWeights<'_>],
        precision: Precision,
    ) -> Result<Linear, Error> {
        let stream = &self.lane.stream;
        let (dtype, output_dtype) = match precision {
            Precision::Working => (self.dtype, self.dtype),
            Precision::Head => (self.dtype, Dtype::F32),
            Precision::Full => (Dtype::F32, Dtype::F32),
        };
        let [inputs, outputs] = DenseWeights::features(parts)?;
        let weight: Vec<f32> = parts.iter().flat_map(|part| part.weight).copied().collect();
        let weight = Memory::holding_as(stream, dtype, &weight)?;
        let bias = DenseWeights::biases(parts).map(|bias| {
            let working = Memory::holding_as(stream, dtype, &bias)?;
            Ok::<_, Error>(LinearBias { working, full: Memory::holding(stream, &bias)? })
        });
        Ok(Linear { weight, bias: bias.transpose()?, inputs, outputs, dtype, output_dtype })
    }

    fn linear(&self, input: &Buffer, linear: &Linear, epilogue: Epilogue) -> Result<Buffer, Error> {
        epilogue.columns(linear.outputs)?;
        // Where a kernel follows the product, that adds the bias.
        let bias = linear.bias.as_ref();
        let (in_product, after) = match epilogue {
            Epilogue::None => (bias, None),
            Epilogue::Activate(_) | Epilogue::Gate(_) => (None, bias),
        };
        let in_product = in_product.map(|bias| bias.of(linear.output_dtype));
        self.with_input(input, linear, |input| {
            let rows = (0, input.rows);
            let output = self.product(input, rows, linear, in_product, linear.output_dtype)?;
            activate(&self.lane, output, after.map(|bias| &bias.full), epilogue)
        })
    }

    fn linear_max(
        &self,
        input: &Buffer,
        linear: &Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Buffer, Error> {
        let rows = span_rows(cu_seqlens, spans, Pooling::Mean, input.rows)?;
        let output = take(&self.lane, spans.len(), linear.outputs, Dtype::F32)?;
        self.with_input(input, linear, |input| {
            for first in (0..input.rows).step_by(LOGIT_ROWS).filter(|_| !spans.is_empty()) {
                let count = LOGIT_ROWS.min(input.rows - first);
                let bias = linear.bias.as_ref().map(|bias| &bias.full);
                let logits = self.product(input, (first, count), linear, bias, Dtype::F32)?;
                span_max(&self.lane, &logits, &rows, &output, first)?;
            }
            Ok(())
        })?;
        Ok(output)
    }
}

impl CudaExec {
    /// The product of a layer over rows `first..first + rows` of `input`; `bias` in the output's
    /// dtype.
    fn product(
        &self,
        input: &Buffer,
        (first, rows): (usize, usize),
        linear: &Linear,
        bias: Option<&Memory>,
        output_dtype: Dtype,
    ) -> Result<Buffer, Error> {
        let product = Product {
            input: &input.memory,
            weight: &linear.weight,
            bias,
            rows,
            inputs: linear.inputs,
            outputs: linear.outputs,
            dtype: linear.dtype,
            output_dtype,
            input_offset: first * input.cols * bytes_of(input.dtype),
        };
        let memory = self.products.run(&self.lane, &product)?;
        Ok(Buffer::new(memory, rows, linear.outputs, output_dtype))
    }

    /// `input` in the dtype of a layer, converted where it is another.
    fn with_input<T>(
        &self,
        input: &Buffer,
        linear: &Linear,
        run: impl FnOnce(&Buffer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        check_len("dense input", input.cols, linear.inputs)?;
        if input.dtype == linear.dtype {
            return run(input);
        }
        run(&convert(&self.lane, input, linear.dtype)?)
    }
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
fn activate(
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
    // SAFETY: the product has `rows` by `cols` values, twice as many where gated, its bias one a
    // column, and the output `rows` by `cols`, all but the bias in the kernel's dtype.
    unsafe {
        launch!(lane, &format!("activate_{}", suffix(dtype)), by_items(chunks), THREADS, 0;
            &pointer, &bias, &output.pointer(), &(rows as u32), &(cols as u32), &activation, &gated)
    }?;
    Ok(output)
}

/// Takes the largest of `x`, rows `begin..` of a batch, into each span's row of `output`.
fn span_max(
    lane: &Lane,
    x: &Buffer,
    rows: &[u32],
    output: &Buffer,
    begin: usize,
) -> Result<(), Error> {
    let sent = lane.upload_once("span rows", rows)?;
    let grid = (output.rows as u32, x.cols.div_ceil(4 * THREADS as usize) as u32, 1);
    // SAFETY: `x` is f32 of `x.rows` rows, there are two indices a row of `output`, which is f32 of
    // as many columns, and the kernel skips the rows of spans that are not in `x`.
    unsafe {
        launch!(lane, "span_max", grid, THREADS, 0;
            &x.pointer(), &sent.pointer(), &output.pointer(), &(begin as u32),
            &((begin + x.rows) as u32), &(x.cols as u32))
    }
}
