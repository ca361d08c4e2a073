//! Products `output = input weight^T + bias` by cuBLASLt on device 0, described as the crate's own
//! products are; every call that may be refused says so by its status instead of an error.

use std::ffi::c_void;
use std::ptr;

use cudarc::cublaslt::result as lt;
use cudarc::cublaslt::sys::{
    self, cublasComputeType_t, cublasLtEpilogue_t, cublasLtHandle_t, cublasLtMatmulAlgo_t,
    cublasLtMatmulAlgoConfigAttributes_t as Config, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t as Attribute, cublasLtMatmulHeuristicResult_t,
    cublasLtMatmulPreferenceAttributes_t as Preference, cublasLtMatrixLayout_t, cublasStatus_t,
    cudaDataType,
};
use cudarc::driver::result as driver;
use cudarc::driver::sys::{CUevent, CUevent_flags, CUstream};

use super::Result;

/// Algorithms to ask for.
const CANDIDATES: usize = 16;
/// Of algorithms that may use one.
pub(super) const WORKSPACE_BYTES: usize = 32 << 20;
/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;

pub(super) type Algorithm = cublasLtMatmulAlgo_t;

/// What an algorithm may use: `Exact` has no workspace and no reduction between blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Numerics {
    Exact,
    Fast,
}

impl Numerics {
    fn workspace_bytes(self) -> usize {
        if self == Self::Exact { 0 } else { WORKSPACE_BYTES }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub(super) const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    pub(super) fn name(self) -> &'static str {
        ["f32", "f16", "bf16"][self as usize]
    }

    pub(super) fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn data_type(self) -> cudaDataType {
        match self {
            Self::F32 => cudaDataType::CUDA_R_32F,
            Self::F16 => cudaDataType::CUDA_R_16F,
            Self::Bf16 => cudaDataType::CUDA_R_16BF,
        }
    }
}

/// Memory of the device, given back when dropped.
pub(super) struct Memory(pub(super) u64);

impl Memory {
    pub(super) fn new(bytes: usize) -> Result<Self> {
        // SAFETY: a context is current since `Device::open`.
        Ok(Self(unsafe { driver::malloc_sync(bytes.max(256)) }?))
    }

    pub(super) fn of(bytes: &[u8]) -> Result<Self> {
        let memory = Self::new(bytes.len())?;
        // SAFETY: as large as what is copied.
        unsafe { driver::memcpy_htod_sync(memory.0, bytes) }?;
        Ok(memory)
    }

    /// Fills the first `bytes` with what is NaN in every dtype.
    pub(super) fn poison(&self, bytes: usize) -> Result<()> {
        // SAFETY: callers ask for no more than they allocated; the driver checks that too.
        Ok(unsafe { driver::memset_d8_sync(self.0, 0xFF, bytes) }?)
    }

    pub(super) fn bring(&self, offset: usize, bytes: usize) -> Result<Vec<u8>> {
        let mut brought = vec![0_u8; bytes];
        // SAFETY: as above.
        unsafe { driver::memcpy_dtoh_sync(&mut brought, self.0 + offset as u64) }?;
        Ok(brought)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`; a failure at the end loses nothing.
        let _ = unsafe { driver::free_sync(self.0) };
    }
}

/// Device 0 with one stream.
pub(super) struct Device {
    pub(super) name: String,
    handle: cublasLtHandle_t,
    stream: CUstream,
    workspace: Memory,
    marks: [CUevent; 2],
}

impl Device {
    pub(super) fn open() -> Result<Self> {
        driver::init()?;
        let ordinal = driver::device::get(0)?;
        // SAFETY: the device was found; its context lives until the process ends.
        unsafe { driver::ctx::set_current(driver::primary_ctx::retain(ordinal)?) }?;
        let flags = CUevent_flags::CU_EVENT_DEFAULT;
        Ok(Self {
            name: driver::device::get_name(ordinal)?,
            handle: lt::create_handle().map_err(|_| "libcublasLt.so.13 does not open")?,
            stream: driver::stream::create(driver::stream::StreamKind::NonBlocking)?,
            workspace: Memory::new(WORKSPACE_BYTES)?,
            marks: [driver::event::create(flags)?, driver::event::create(flags)?],
        })
    }

    pub(super) fn wait(&self) -> Result<()> {
        // SAFETY: the stream lives as long as the process.
        Ok(unsafe { driver::stream::synchronize(self.stream) }?)
    }

    /// Microseconds of a call, `times` of them queued between two events.
    pub(super) fn time(&self, times: u32, mut call: impl FnMut()) -> Result<f64> {
        // SAFETY: stream and events live as long as the process.
        unsafe { driver::event::record(self.marks[0], self.stream) }?;
        (0..times).for_each(|_| call());
        // SAFETY: as above.
        unsafe { driver::event::record(self.marks[1], self.stream) }?;
        self.wait()?;
        // SAFETY: as above; both have happened.
        let milliseconds = unsafe { driver::event::elapsed(self.marks[0], self.marks[1]) }?;
        Ok(f64::from(milliseconds) * 1e3 / f64::from(times))
    }
}

/// cuBLASLt's; an error code where the library does not say.
pub(super) fn version() -> usize {
    // SAFETY: takes nothing.
    unsafe { sys::cublasLtGetVersion() }
}

/// Descriptors of a product over a number of rows. cuBLAS is column-major: it computes
/// `[outputs, rows]`.
pub(super) struct Product<'a> {
    device: &'a Device,
    operation: cublasLtMatmulDesc_t,
    weight: cublasLtMatrixLayout_t,
    input: cublasLtMatrixLayout_t,
    output: cublasLtMatrixLayout_t,
}

impl<'a> Product<'a> {
    /// `[rows, inputs]` by `[outputs, inputs]`; `bias` is `[outputs]` in `dtype`.
    pub(super) fn new(
        device: &'a Device,
        rows: usize,
        (inputs, outputs): (usize, usize),
        dtype: Dtype,
        bias: Option<&Memory>,
    ) -> Result<Self> {
        let layout = |rows: usize, columns: usize| {
            lt::create_matrix_layout(dtype.data_type(), rows as u64, columns as u64, rows as i64)
        };
        let compute = cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let operation = lt::create_matmul_desc(compute, cudaDataType::CUDA_R_32F)?;
        let (weight, input) = (layout(inputs, outputs)?, layout(inputs, rows)?);
        let product = Self { device, operation, weight, input, output: layout(outputs, rows)? };
        product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if let Some(bias) = bias {
            let epilogue = cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            product.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            product.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.0)?;
        }
        Ok(product)
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<()> {
        let (operation, bytes) = (self.operation, size_of::<T>());
        // SAFETY: the descriptor lives, and the value is of the attribute's type.
        Ok(unsafe {
            lt::set_matmul_desc_attribute(operation, attribute, ptr::from_ref(value).cast(), bytes)
        }?)
    }

    /// Algorithms, the best first; none where cuBLASLt refuses.
    pub(super) fn proposals(&self, numerics: Numerics) -> Result<Vec<Algorithm>> {
        let preference = lt::create_matmul_pref()?;
        let workspace = numerics.workspace_bytes();
        let set = |attribute, value: *const c_void, bytes| {
            // SAFETY: the preference lives, and the value is of the attribute's type.
            unsafe { lt::set_matmul_pref_attribute(preference, attribute, value, bytes) }
        };
        let bytes = ptr::from_ref(&workspace).cast();
        set(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, size_of::<usize>())?;
        if numerics == Numerics::Exact {
            let none = ptr::from_ref(&0_u32).cast();
            set(Preference::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, none, size_of::<u32>())?;
        }
        let (mut found, mut count) = ([nothing_found(); CANDIDATES], 0);
        // SAFETY: all descriptors live, and there is room for as many results as are asked for.
        let status = unsafe {
            let status = sys::cublasLtMatmulAlgoGetHeuristic(
                self.device.handle,
                self.operation,
                self.weight,
                self.input,
                self.output,
                self.output,
                preference,
                CANDIDATES as i32,
                found.as_mut_ptr(),
                &raw mut count,
            );
            lt::destroy_matmul_pref(preference)?;
            status
        };
        let count = if is_success(status) { count.max(0) as usize } else { 0 };
        let usable = found.into_iter().take(count).filter(|result| is_success(result.state));
        Ok(usable.map(|result| result.algo).collect())
    }

    /// Whether cuBLASLt takes an algorithm for these rows.
    pub(super) fn accepts(&self, algorithm: &Algorithm, numerics: Numerics) -> bool {
        let mut result = nothing_found();
        // SAFETY: all descriptors live.
        let status = unsafe {
            sys::cublasLtMatmulAlgoCheck(
                self.device.handle,
                self.operation,
                self.weight,
                self.input,
                self.output,
                self.output,
                algorithm,
                &raw mut result,
            )
        };
        is_success(status) && result.workspaceSize <= numerics.workspace_bytes()
    }

    /// Queues the product; whether it was taken.
    pub(super) fn run(
        &self,
        algorithm: &Algorithm,
        numerics: Numerics,
        (input, weight, output): (&Memory, &Memory, &Memory),
    ) -> bool {
        let (one, zero, written) = (1.0_f32, 0.0_f32, output.0 as *mut c_void);
        // SAFETY: the layouts describe blocks of that many values, which outlive the wait that
        // follows every run.
        let done = unsafe {
            lt::matmul(
                self.device.handle,
                self.operation,
                ptr::from_ref(&one).cast(),
                ptr::from_ref(&zero).cast(),
                weight.0 as *const c_void,
                self.weight,
                input.0 as *const c_void,
                self.input,
                written,
                self.output,
                written,
                self.output,
                algorithm,
                self.device.workspace.0 as *mut c_void,
                numerics.workspace_bytes(),
                self.device.stream.cast(),
            )
        };
        done.is_ok()
    }
}

impl Drop for Product<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `new` and not used again; nothing is lost if it fails.
        unsafe {
            for layout in [self.weight, self.input, self.output] {
                let _ = lt::destroy_matrix_layout(layout);
            }
            let _ = lt::destroy_matmul_desc(self.operation);
        }
    }
}

fn is_success(status: cublasStatus_t) -> bool {
    status == cublasStatus_t::CUBLAS_STATUS_SUCCESS
}

/// Room for a result.
fn nothing_found() -> cublasLtMatmulHeuristicResult_t {
    // SAFETY: numbers alone, for which zeros are values.
    unsafe { std::mem::zeroed() }
}

/// An algorithm's configuration, as far as the library tells it.
pub(super) fn describe(algorithm: &Algorithm) -> String {
    let fields = [
        ("id", Config::CUBLASLT_ALGO_CONFIG_ID, 4),
        ("tile", Config::CUBLASLT_ALGO_CONFIG_TILE_ID, 4),
        ("stages", Config::CUBLASLT_ALGO_CONFIG_STAGES_ID, 4),
        ("split", Config::CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4),
        ("cluster", Config::CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2),
    ];
    let told = fields.into_iter().filter_map(|(name, attribute, bytes)| {
        let (mut value, mut written) = (0_u32, 0);
        let room = (&raw mut value).cast();
        // SAFETY: there is room for the attribute's bytes, of which none is larger.
        let status = unsafe {
            sys::cublasLtMatmulAlgoConfigGetAttribute(
                algorithm,
                attribute,
                room,
                bytes,
                &raw mut written,
            )
        };
        is_success(status).then(|| format!("{name} {value}"))
    });
    told.collect::<Vec<_>>().join(", ")
}
