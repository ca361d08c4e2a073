//! Matrix products by cuBLASLt, the bias added in f32 before a result is rounded.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    self, cublasComputeType_t, cublasLtEpilogue_t, cublasLtHandle_t, cublasLtMatmulAlgo_t,
    cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t as Attribute,
    cublasLtMatmulHeuristicResult_t, cublasLtMatmulPreference_t,
    cublasLtMatmulPreferenceAttributes_t as Preference, cublasLtMatrixLayout_t, cublasStatus_t,
    cudaDataType,
};

use super::super::dtype::{Dtype, Numerics};
use super::super::error::Error;
use super::dtype::{NO_INT8, bytes_of};
use super::lane::Lane;
use super::memory::Memory;

/// Rows that the algorithm of exact numerics is chosen for, whatever rows it then runs on.
const EXACT_ROWS: usize = 1024;
/// Rows that such an algorithm must also run on, besides one.
const MAX_ROWS: usize = 1 << 20;
/// Algorithms to choose from.
const CANDIDATES: usize = 16;

/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;

/// `output = input weight^T + bias`: `[rows, inputs]` to `[rows, outputs]`.
pub(super) struct Product<'a> {
    pub(super) input: &'a Memory,
    /// `[outputs, inputs]`.
    pub(super) weight: &'a Memory,
    /// `[outputs]` in the output's dtype.
    pub(super) bias: Option<&'a Memory>,
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Of input and weight.
    pub(super) dtype: Dtype,
    pub(super) output_dtype: Dtype,
    /// Bytes before the first of the input's rows.
    pub(super) input_offset: usize,
}

/// What an algorithm is chosen for.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    rows: usize,
    inputs: usize,
    outputs: usize,
    dtype: Dtype,
    output_dtype: Dtype,
    bias: bool,
}

/// A cuBLASLt handle of one lane, with the algorithms that it has chosen.
pub(super) struct Products {
    handle: cublasLtHandle_t,
    numerics: Numerics,
    workspace: Memory,
    workspace_bytes: usize,
    algorithms: Mutex<HashMap<Shape, cublasLtMatmulAlgo_t>>,
}

// SAFETY: cuBLASLt's handles may be used from any thread.
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}

impl Products {
    pub(super) fn new(lane: &Lane, numerics: Numerics) -> Result<Self, Error> {
        lane.bind()?;
        let handle = result::create_handle().map_err(|error| failed("open cuBLASLt", error))?;
        // Without a workspace no algorithm can split a sum between blocks.
        let workspace_bytes = match numerics {
            Numerics::Exact => 0,
            Numerics::Fast => lane.device.workspace_bytes(),
        };
        let workspace = lane.take::<u8>(workspace_bytes)?;
        Ok(Self { handle, numerics, workspace, workspace_bytes, algorithms: Mutex::default() })
    }

    /// Runs a product in the lane's order.
    pub(super) fn run(&self, lane: &Lane, product: &Product<'_>) -> Result<Memory, Error> {
        let output =
            lane.pool.take(product.rows * product.outputs * bytes_of(product.output_dtype))?;
        if product.rows == 0 || product.outputs == 0 {
            return Ok(output);
        }
        lane.bind()?;
        let algorithm = self.algorithm(product)?;
        let description = Description::new(product, product.rows)?;
        let (one, zero) = (1.0_f32, 0.0_f32);
        let input = product.input.pointer() + product.input_offset as u64;
        let written = output.pointer() as *mut c_void;
        // SAFETY: the layouts describe blocks of that many values, as the callers of `run` promise;
        // all live until later work of this stream reuses them.
        let done = unsafe {
            result::matmul(
                self.handle,
                description.operation,
                ptr::from_ref(&one).cast(),
                ptr::from_ref(&zero).cast(),
                product.weight.pointer() as *const c_void,
                description.weight,
                input as *const c_void,
                description.input,
                written,
                description.output,
                written,
                description.output,
                &raw const algorithm,
                self.workspace.pointer() as *mut c_void,
                self.workspace_bytes,
                lane.stream.cu_stream().cast(),
            )
        };
        if let Err(error) = done {
            // A device that is lost says so itself.
            lane.synchronise()?;
            return Err(failed("run a matrix product", error));
        }
        Ok(output)
    }

    /// The algorithm for a product's rows, or for every number of rows where numerics are exact:
    /// a row's sums then run in one order whatever else is in the batch.
    fn algorithm(&self, product: &Product<'_>) -> Result<cublasLtMatmulAlgo_t, Error> {
        let rows = match self.numerics {
            Numerics::Exact => EXACT_ROWS,
            Numerics::Fast => product.rows.next_power_of_two(),
        };
        let shape = Shape {
            rows,
            inputs: product.inputs,
            outputs: product.outputs,
            dtype: product.dtype,
            output_dtype: product.output_dtype,
            bias: product.bias.is_some(),
        };
        let mut algorithms = self.algorithms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(algorithm) = algorithms.get(&shape) {
            return Ok(*algorithm);
        }
        let algorithm = self.choose(product, rows)?;
        algorithms.insert(shape, algorithm);
        Ok(algorithm)
    }

    /// The first algorithm that cuBLASLt proposes, or that also runs on any number of rows where
    /// numerics are exact.
    fn choose(&self, product: &Product<'_>, rows: usize) -> Result<cublasLtMatmulAlgo_t, Error> {
        let description = Description::new(product, rows)?;
        let proposed = self.propose(&description)?;
        if self.numerics == Numerics::Fast {
            return proposed.first().copied().ok_or_else(|| no_algorithm(product));
        }
        let others = [1, MAX_ROWS].map(|rows| Description::new(product, rows));
        let [one, many] = others;
        let (one, many) = (one?, many?);
        let runs = |algorithm: &&cublasLtMatmulAlgo_t| {
            [&one, &many].into_iter().all(|description| self.runs(description, algorithm))
        };
        proposed.iter().find(runs).copied().ok_or_else(|| no_algorithm(product))
    }

    /// Algorithms within the workspace, the best first.
    fn propose(&self, description: &Description) -> Result<Vec<cublasLtMatmulAlgo_t>, Error> {
        let wrap = |error| failed("choose a product's algorithm", error);
        let preference = LimitedTo::new(self.workspace_bytes, self.numerics).map_err(wrap)?;
        let mut found = [nothing_found(); CANDIDATES];
        let mut count = 0;
        // SAFETY: all descriptors live, and there is room for as many results as are asked for.
        unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                description.operation,
                description.weight,
                description.input,
                description.output,
                description.output,
                preference.0,
                CANDIDATES as i32,
                found.as_mut_ptr(),
                &raw mut count,
            )
        }
        .result()
        .map_err(wrap)?;
        let found = found.into_iter().take(count.max(0) as usize);
        let usable = found.filter(|result| result.state == cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        Ok(usable.map(|result| result.algo).collect())
    }

    /// Whether `algorithm` runs on another product within the workspace.
    fn runs(&self, description: &Description, algorithm: &cublasLtMatmulAlgo_t) -> bool {
        let mut result = nothing_found();
        // SAFETY: all descriptors live.
        let checked = unsafe {
            sys::cublasLtMatmulAlgoCheck(
                self.handle,
                description.operation,
                description.weight,
                description.input,
                description.output,
                description.output,
                ptr::from_ref(algorithm),
                &raw mut result,
            )
        };
        checked == cublasStatus_t::CUBLAS_STATUS_SUCCESS
            && result.workspaceSize <= self.workspace_bytes
    }
}

/// Room for a result.
fn nothing_found() -> cublasLtMatmulHeuristicResult_t {
    // SAFETY: numbers alone, for which zeros are values; the state is then success of nothing, and
    // read only where the library wrote it.
    unsafe { std::mem::zeroed() }
}

fn no_algorithm(product: &Product<'_>) -> Error {
    let Product { inputs, outputs, dtype, .. } = product;
    let call = "choose a product's algorithm";
    let problem = format!(
        "cuBLASLt has none for {inputs} by {outputs} in {dtype} that runs on every number of rows; \
         `numerics: fast` asks for less"
    );
    Error::Device { call, problem }
}

/// What an algorithm may use.
struct LimitedTo(cublasLtMatmulPreference_t);

impl LimitedTo {
    fn new(workspace_bytes: usize, numerics: Numerics) -> Result<Self, CublasError> {
        let preference = Self(result::create_matmul_pref()?);
        preference.set(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes)?;
        if numerics == Numerics::Exact {
            // No reduction between blocks.
            preference.set(Preference::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &0_u32)?;
        }
        Ok(preference)
    }

    fn set<T>(&self, attribute: Preference, value: &T) -> Result<(), CublasError> {
        let bytes = size_of::<T>();
        // SAFETY: the preference lives, and the value is of the attribute's type.
        unsafe {
            result::set_matmul_pref_attribute(self.0, attribute, ptr::from_ref(value).cast(), bytes)
        }
    }
}

impl Drop for LimitedTo {
    fn drop(&mut self) {
        // SAFETY: made in `new` and not used again; nothing is lost if it fails.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: made in `new` and not used again.
        if let Err(error) = unsafe { result::destroy_handle(self.handle) } {
            tracing::warn!(%error, "cuBLASLt could not be closed");
        }
    }
}

/// Descriptors of a product over `rows`. cuBLAS is column-major, so that it computes the
/// transposed output `[outputs, rows]` from the transposed weight and the input.
struct Description {
    operation: cublasLtMatmulDesc_t,
    weight: cublasLtMatrixLayout_t,
    input: cublasLtMatrixLayout_t,
    output: cublasLtMatrixLayout_t,
}

impl Description {
    fn new(product: &Product<'_>, rows: usize) -> Result<Self, Error> {
        let wrap = |error| failed("describe a product", error);
        let layout = |dtype, rows: usize, columns: usize| {
            result::create_matrix_layout(data_type(dtype), rows as u64, columns as u64, rows as i64)
        };
        let mut description = Self {
            operation: ptr::null_mut(),
            weight: ptr::null_mut(),
            input: ptr::null_mut(),
            output: ptr::null_mut(),
        };
        let compute = cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let operation = result::create_matmul_desc(compute, cudaDataType::CUDA_R_32F);
        description.operation = operation.map_err(wrap)?;
        description.weight =
            layout(product.dtype, product.inputs, product.outputs).map_err(wrap)?;
        description.input = layout(product.dtype, product.inputs, rows).map_err(wrap)?;
        description.output = layout(product.output_dtype, product.outputs, rows).map_err(wrap)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if let Some(bias) = product.bias {
            let epilogue = cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.pointer())?;
        }
        Ok(description)
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<(), Error> {
        // SAFETY: the descriptor lives, and the value is of the attribute's type.
        unsafe {
            let value: *const T = value;
            result::set_matmul_desc_attribute(
                self.operation,
                attribute,
                value.cast(),
                size_of::<T>(),
            )
        }
        .map_err(|error| failed("describe a product", error))
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        for layout in [self.weight, self.input, self.output] {
            if !layout.is_null() {
                // SAFETY: made in `new` and not used again; nothing is lost if it fails.
                let _ = unsafe { result::destroy_matrix_layout(layout) };
            }
        }
        if !self.operation.is_null() {
            // SAFETY: as above.
            let _ = unsafe { result::destroy_matmul_desc(self.operation) };
        }
    }
}

fn data_type(dtype: Dtype) -> cudaDataType {
    match dtype {
        Dtype::F16 => cudaDataType::CUDA_R_16F,
        Dtype::Bf16 => cudaDataType::CUDA_R_16BF,
        Dtype::F32 => cudaDataType::CUDA_R_32F,
        Dtype::Int8 => unreachable!("{NO_INT8}"),
    }
}

fn failed(call: &'static str, error: CublasError) -> Error {
    if error.0 == cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED {
        return Error::DeviceMemory { call: call.to_owned() };
    }
    Error::Device { call, problem: format!("cuBLASLt: {error}") }
}
