//! cuBLASLt's calls about algorithms, with what numerics allow them to use.

use std::ffi::c_void;
use std::ptr;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    self, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulHeuristicResult_t,
    cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t as Preference, cublasStatus_t,
};

use super::super::dtype::Numerics;
use super::super::error::Error;
use super::lane::Lane;
use super::memory::Memory;
use super::product::{Description, Product};

/// Algorithms to choose from.
const CANDIDATES: usize = 16;

/// A handle of one lane.
pub(super) struct CublasLt {
    handle: cublasLtHandle_t,
    pub(super) numerics: Numerics,
    workspace: Memory,
    workspace_bytes: usize,
}

// SAFETY: cuBLASLt's handles may be used from any thread.
unsafe impl Send for CublasLt {}
// SAFETY: as above.
unsafe impl Sync for CublasLt {}

impl CublasLt {
    pub(super) fn new(lane: &Lane, numerics: Numerics) -> Result<Self, Error> {
        lane.bind()?;
        let handle = with_memory(lane, "open cuBLASLt", result::create_handle)?;
        // Without a workspace no algorithm can split a sum between blocks.
        let workspace_bytes = match numerics {
            Numerics::Exact => 0,
            Numerics::Fast => lane.device.workspace_bytes(),
        };
        let workspace = lane.take::<u8>(workspace_bytes)?;
        Ok(Self { handle, numerics, workspace, workspace_bytes })
    }

    /// Algorithms for exactly this product, the best first; empty where there is none.
    pub(super) fn propose(
        &self,
        description: &Description,
    ) -> Result<Vec<cublasLtMatmulAlgo_t>, CublasError> {
        let preference = LimitedTo::new(self.workspace_bytes, self.numerics)?;
        let mut found = [nothing_found(); CANDIDATES];
        let mut count = 0;
        // SAFETY: all descriptors live, and there is room for as many results as are asked for.
        let asked = unsafe {
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
        };
        match asked.result() {
            Err(error) if is_refusal(error) => return Ok(Vec::new()),
            asked => asked?,
        }
        let found = found.into_iter().take(count.max(0) as usize);
        let usable = found.filter(|result| result.state == cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        Ok(usable.map(|result| result.algo).collect())
    }

    /// Whether `algorithm` runs on a product within the workspace; the device is not asked.
    pub(super) fn runs(&self, description: &Description, algorithm: &cublasLtMatmulAlgo_t) -> bool {
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

    /// Puts a product into the lane's order.
    ///
    /// # Safety
    /// `description` is `product`'s, which has as many values as it says, and `output` has room for
    /// its rows.
    pub(super) unsafe fn multiply(
        &self,
        lane: &Lane,
        product: &Product<'_>,
        description: &Description,
        algorithm: &cublasLtMatmulAlgo_t,
        output: &Memory,
    ) -> Result<(), CublasError> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let input = product.input.pointer() + product.input_offset as u64;
        let written = output.pointer() as *mut c_void;
        // SAFETY: the layouts describe blocks of that many values, as the caller promises; all live
        // until later work of this stream reuses them.
        unsafe {
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
                ptr::from_ref(algorithm),
                self.workspace.pointer() as *mut c_void,
                self.workspace_bytes,
                lane.stream.cu_stream().cast(),
            )
        }
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        // SAFETY: made in `new` and not used again.
        if let Err(error) = unsafe { result::destroy_handle(self.handle) } {
            tracing::warn!(%error, "cuBLASLt could not be closed");
        }
    }
}

/// Room for a result.
fn nothing_found() -> cublasLtMatmulHeuristicResult_t {
    // SAFETY: numbers alone, for which zeros are values; the state is then success of nothing, and
    // read only where the library wrote it.
    unsafe { std::mem::zeroed() }
}

/// Whether the library does not run this algorithm on this product, while another may run; a lost
/// device can look so, too.
pub(super) fn is_refusal(error: CublasError) -> bool {
    matches!(
        error.0,
        cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED
            | cublasStatus_t::CUBLAS_STATUS_INVALID_VALUE
            | cublasStatus_t::CUBLAS_STATUS_EXECUTION_FAILED
    )
}

/// Whether memory may have been missing: for a kernel that is loaded at its first use, the library
/// answers so in three ways.
fn is_shortage(error: CublasError) -> bool {
    matches!(
        error.0,
        cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED
            | cublasStatus_t::CUBLAS_STATUS_INTERNAL_ERROR
            | cublasStatus_t::CUBLAS_STATUS_NOT_INITIALIZED
    )
}

/// The outcome of `ask`, asked once more with all free blocks given back where memory may have been
/// missing.
pub(super) fn with_memory<T>(
    lane: &Lane,
    call: &'static str,
    mut ask: impl FnMut() -> Result<T, CublasError>,
) -> Result<T, Error> {
    match ask() {
        Err(error) if is_shortage(error) => {
            // A device that is lost says so itself.
            lane.pool.trim()?;
            ask().map_err(|error| failed(call, error))
        }
        done => done.map_err(|error| failed(call, error)),
    }
}

/// What a failed call means; less memory in use may help where it may have been missing.
pub(super) fn failed(call: &'static str, error: CublasError) -> Error {
    if is_shortage(error) {
        return Error::DeviceMemory { call: format!("{call} (cuBLASLt: {error})") };
    }
    Error::Device { call, problem: format!("cuBLASLt: {error}") }
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
