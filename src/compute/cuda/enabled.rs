//! [`Exec`] on CUDA: kernels of our own and cuBLASLt's products over packed tokens.
//!
//! Activations are held in the working dtype, all sums are f32. A [`CudaExec`] is one lane of its
//! device: what it is given runs in order on one stream, and lanes of a device overlap.

mod attention;
mod boundary;
mod buffer;
mod device;
mod lane;
mod memory;
mod operand;
mod products;
mod rows;
mod similarity;
mod slices;
mod turns;

use std::sync::Arc;

use self::buffer::{Bias, Buffer, Linear, Norm, Rotary, Tables};
use self::device::Device;
use self::lane::Lane;
use self::memory::Memory;
use self::products::{Product, Products};
pub use self::rows::Format;
use self::rows::{NormInputs, Stream, span_rows, take};
pub use self::slices::CudaSimilarity;
use super::dtype::Dtype;
use super::error::{Error, check_len};
use super::exec::{Batching, Exec};
use super::operands::{
    Attention, BiasWeights, DenseWeights, Epilogue, Finish, NormWeights, Numerics, Pooling,
    Precision, RotaryWeights, Span, TableWeights, Tokens,
};

/// Lanes of a device: while one computes, the other's copies run and its launches queue up.
const LANES: usize = 2;
/// Rows of a vocabulary's logits that are held at a time.
const LOGIT_ROWS: usize = 512;
/// Tokens of a batch that fill a device.
const MIN_BATCH_TOKENS: usize = 2_048;
/// Tokens that run together unless the user says otherwise, as text-embeddings-inference's.
const BATCH_TOKENS: usize = 16_384;

/// The CUDA form.
pub struct CudaExec {
    lane: Arc<Lane>,
    products: Products,
    dtype: Dtype,
    numerics: Numerics,
}

/// A device with our kernels loaded, for as long as this or an executor of it lives.
pub struct CudaDevice {
    device: Arc<Device>,
}

impl CudaDevice {
    /// The devices that this process may use.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where the driver or cuBLAS is missing.
    pub fn count() -> Result<usize, Error> {
        device::device_count()
    }

    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no such device or it is too old.
    pub fn open(ordinal: usize) -> Result<Self, Error> {
        Ok(Self { device: Device::open(ordinal)? })
    }

    /// Whether it computes in bf16.
    #[must_use]
    pub fn has_bf16(&self) -> bool {
        self.device.has_bf16()
    }

    /// An executor in `dtype`.
    ///
    /// # Errors
    /// [`Error::Dtype`] where the device has no such dtype, and those of the device.
    pub fn exec(&self, dtype: Dtype, numerics: Numerics) -> Result<CudaExec, Error> {
        if dtype == Dtype::Int8 || (dtype == Dtype::Bf16 && !self.has_bf16()) {
            let device = self.device.describe();
            let supported = if self.has_bf16() { "f32, f16, bf16" } else { "f32, f16" };
            return Err(Error::Dtype { dtype, device, supported });
        }
        CudaExec::on(&self.device, dtype, numerics)
    }

    /// What compares rows on the host on this device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn similarity(&self) -> Result<CudaSimilarity, Error> {
        CudaSimilarity::on(&self.device)
    }
}

impl CudaExec {
    fn on(device: &Arc<Device>, dtype: Dtype, numerics: Numerics) -> Result<Self, Error> {
        let lane = Lane::new(device)?;
        let products = Products::new(&lane, numerics)?;
        Ok(Self { lane, products, dtype, numerics })
    }

    /// What dense layers run in.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Gives memory that no buffer holds back to the device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn trim(&self) -> Result<(), Error> {
        self.lane.pool.trim()
    }

    /// Waits until all that was asked of this executor is done.
    ///
    /// # Errors
    /// Those of the device.
    pub fn synchronise(&self) -> Result<(), Error> {
        self.lane.synchronise()
    }

    /// Brings rows from the host in the working dtype, as the encoder's activations are.
    ///
    /// # Errors
    /// When `data` is no multiple of `cols`.
    pub fn upload_working(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = self.upload(data, cols)?;
        if self.dtype == Dtype::F32 {
            Ok(rows)
        } else {
            rows::convert(&self.lane, &rows, self.dtype)
        }
    }

    /// Spans pooled and finished as [`Exec::pool_finish`] does, in a compact format: rows of
    /// `[dims]` f32 or i8, or of `[dims / 8]` bytes rounded up.
    ///
    /// # Errors
    /// Those of [`Exec::pool`] and [`Exec::finish`].
    pub fn pool_quantized(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
        finish: Finish,
        format: Format,
    ) -> Result<Vec<u8>, Error> {
        let rows = span_rows(cu_seqlens, spans, pooling)?;
        let output = rows::pool(&self.lane, hidden, &rows, finish, format)?;
        self.lane.download(&output, spans.len() * format.row_bytes(finish.dims))
    }

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
            input_offset: first * input.cols * products::bytes_of(input.dtype),
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
        run(&rows::convert(&self.lane, input, linear.dtype)?)
    }
}

impl Exec for CudaExec {
    type Buffer = Buffer;
    type Linear = Linear;
    type Norm = Norm;
    type Bias = Bias;
    type Rotary = Rotary;
    type Tables = Tables;

    fn describe(&self) -> String {
        format!("{}, {}", self.lane.device.describe(), self.dtype)
    }

    fn batching(&self) -> Batching {
        let tokens = MIN_BATCH_TOKENS..=usize::MAX;
        Batching { parallel: 1, tokens, budget: BATCH_TOKENS }
    }

    fn lanes(&self) -> Result<Vec<Self>, Error> {
        (1..LANES).map(|_| Self::on(&self.lane.device, self.dtype, self.numerics)).collect()
    }

    fn load_linear(
        &self,
        parts: &[DenseWeights<'_>],
        precision: Precision,
    ) -> Result<Linear, Error> {
        Linear::new(&self.lane.stream, precision.dtype(self.dtype), parts)
    }

    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Norm, Error> {
        Norm::new(&self.lane.stream, weights)
    }

    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Bias, Error> {
        Bias::new(&self.lane.stream, weights)
    }

    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Rotary, Error> {
        Rotary::new(&self.lane.stream, weights)
    }

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        Tables::new(&self.lane.stream, self.dtype, weights)
    }

    fn embed_norm(
        &self,
        tables: &Tables,
        norm: Option<&Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Buffer, Error> {
        rows::embed_norm(&self.lane, tables, norm, tokens, self.dtype)
    }

    fn linear(&self, input: &Buffer, linear: &Linear, epilogue: Epilogue) -> Result<Buffer, Error> {
        epilogue.columns(linear.outputs)?;
        // Where a kernel follows the product, that adds the bias.
        let bias = linear.bias.as_ref();
        let (in_product, after) = match epilogue {
            Epilogue::None => (bias, None),
            Epilogue::Activate(_) | Epilogue::Gate(_) => (None, bias),
        };
        let in_product = in_product.map(|bias| bias.of(linear.dtype));
        self.with_input(input, linear, |input| {
            let rows = (0, input.rows);
            let output = self.product(input, rows, linear, in_product, linear.dtype)?;
            rows::activate(&self.lane, output, after.map(|bias| &bias.full), epilogue)
        })
    }

    fn rotary(
        &self,
        qkv: Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Buffer, Error> {
        rows::rotary(&self.lane, qkv, positions, attention, norms, rotary)
    }

    fn attention(
        &self,
        qkv: &Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Buffer, Error> {
        attention::attention(&self.lane, qkv, cu_seqlens, attention, bias)
    }

    fn norm(&self, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        rows::norm(&self.lane, x, &NormInputs::default(), norm)
    }

    fn add_norm(
        &self,
        x: Buffer,
        inner: Option<&Norm>,
        residual: &mut Buffer,
        norm: &Norm,
    ) -> Result<Buffer, Error> {
        rows::widen(&self.lane, residual)?;
        let inputs = NormInputs { inner, residual: Some(&residual.memory), stream: Stream::Sum };
        rows::check_residual(&x, residual)?;
        rows::norm(&self.lane, &x, &inputs, norm)
    }

    fn residual_norm(&self, x: Buffer, residual: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        rows::check_residual(&x, residual)?;
        let run = |residual: &Memory| {
            let residual = Some(residual);
            let inputs = NormInputs { residual, stream: Stream::Output, ..NormInputs::default() };
            rows::norm(&self.lane, &x, &inputs, norm)
        };
        match (&residual.wide, residual.dtype) {
            (Some(wide), _) => run(wide),
            (None, Dtype::F32) => run(&residual.memory),
            (None, _) => run(&rows::convert(&self.lane, residual, Dtype::F32)?.memory),
        }
    }

    fn pool(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        let rows = span_rows(cu_seqlens, spans, pooling)?;
        let finish = Finish { dims: hidden.cols, normalize: false };
        let memory = rows::pool(&self.lane, hidden, &rows, finish, Format::F32)?;
        Ok(Buffer::new(memory, spans.len(), hidden.cols, Dtype::F32))
    }

    fn pool_finish(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
        finish: Finish,
    ) -> Result<Vec<f32>, Error> {
        let rows = span_rows(cu_seqlens, spans, pooling)?;
        let output = rows::pool(&self.lane, hidden, &rows, finish, Format::F32)?;
        self.lane.download(&output, spans.len() * finish.dims)
    }

    fn linear_max(
        &self,
        input: &Buffer,
        linear: &Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Buffer, Error> {
        let rows = span_rows(cu_seqlens, spans, Pooling::Mean)?;
        let output = take(&self.lane, spans.len(), linear.outputs, Dtype::F32)?;
        self.with_input(input, linear, |input| {
            for first in (0..input.rows).step_by(LOGIT_ROWS).filter(|_| !spans.is_empty()) {
                let count = LOGIT_ROWS.min(input.rows - first);
                let bias = linear.bias.as_ref().map(|bias| &bias.full);
                let logits = self.product(input, (first, count), linear, bias, Dtype::F32)?;
                rows::span_max(&self.lane, &logits, &rows, &output, first)?;
            }
            Ok(())
        })?;
        Ok(output)
    }

    fn finish(&self, rows: Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
        let is_finished = !finish.normalize && finish.dims == rows.cols;
        if is_finished && rows.dtype == Dtype::F32 && finish.dims > 0 {
            // A row may be a vocabulary's logits, which no block has memory for.
            return self.lane.download(&rows.memory, rows.rows * rows.cols);
        }
        // Each row is its own mean.
        let own: Vec<u32> = (0..rows.rows as u32).flat_map(|row| [row, row + 1]).collect();
        let output = rows::pool(&self.lane, &rows, &own, finish, Format::F32)?;
        self.lane.download(&output, rows.rows * finish.dims)
    }

    fn upload(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = data.len().checked_div(cols).unwrap_or(0);
        check_len("rows from the host", data.len(), rows * cols)?;
        let memory = self.lane.upload(data)?;
        Ok(Buffer::new(memory, rows, cols, Dtype::F32))
    }

    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        let band = similarity::band(&self.lane, rows.into(), width)?;
        self.lane.download(&band.memory, rows.rows * width)
    }
}
