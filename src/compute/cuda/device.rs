//! A CUDA device: its context, our kernels on it, and what it can.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cudarc::driver::sys::{self, CUdevice_attribute, CUfunction_attribute, CUresult};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, DriverError};
use cudarc::nvrtc::Ptx;

use super::super::error::Error;

/// Machine code of every kernel for every device, made by `kernels/build.rs`.
static KERNELS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin"));
/// CUDA 13.0, as the driver numbers it: what the machine code and PTX of the kernels need.
const MIN_DRIVER: i32 = 13_000;
/// The oldest compute capability that there is machine code for.
const MIN_CAPABILITY: (i32, i32) = (7, 5);
/// The oldest that computes in bf16.
const BF16_CAPABILITY: (i32, i32) = (8, 0);
/// Shared memory that a block may have without asking.
const SHARED_BYTES: u32 = 48 << 10;

/// In the order of `names` in `kernels/lazy/open.c`.
#[derive(Clone, Copy)]
pub(super) enum Library {
    CublasLt = 0,
    Driver = 4,
}

unsafe extern "C" {
    fn chunkflow_cuda_problem(library: c_int) -> *const c_char;
}

/// Why a library cannot be opened; `None` where it can be.
pub(super) fn library_problem(library: Library) -> Option<String> {
    // SAFETY: the function takes any index of `names` and gives null or a string that stays.
    let problem = unsafe { chunkflow_cuda_problem(library as c_int) };
    // SAFETY: as above.
    (!problem.is_null()).then(|| unsafe { CStr::from_ptr(problem) }.to_string_lossy().into_owned())
}

/// A device with our kernels loaded.
pub(super) struct Device {
    pub(super) context: Arc<CudaContext>,
    module: Arc<CudaModule>,
    kernels: Mutex<HashMap<String, Arc<Kernel>>>,
    capability: (i32, i32),
    max_shared_bytes: u32,
    name: String,
}

/// A kernel, and the shared memory that it has been granted.
pub(super) struct Kernel {
    pub(super) function: CudaFunction,
    shared_bytes: AtomicU32,
}

/// The number of devices that this process may use.
///
/// # Errors
/// [`Error::NoDevice`] with the reason where CUDA cannot be used here at all.
pub(super) fn device_count() -> Result<usize, Error> {
    if let Some(problem) = library_problem(Library::Driver) {
        return Err(Error::NoDevice(problem));
    }
    let count = CudaContext::device_count().map_err(|error| Error::NoDevice(text(error)))?;
    let mut version = 0;
    // SAFETY: the driver writes one number.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result();
    asked.map_err(|error| Error::NoDevice(text(error)))?;
    if version < MIN_DRIVER {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        let problem = format!(
            "the driver is for CUDA {major}.{minor}: CUDA 13 needs driver 580 or newer, \
             or on data centre GPUs the package cuda-compat"
        );
        return Err(Error::NoDevice(problem));
    }
    if let Some(problem) = library_problem(Library::CublasLt) {
        return Err(Error::NoDevice(problem));
    }
    Ok(count as usize)
}

/// The devices in use, so that every model on one shares its kernels.
static OPENED: Mutex<Vec<(usize, Weak<Device>)>> = Mutex::new(Vec::new());

impl Device {
    /// The device, with its kernels loaded once however often it is opened.
    pub(super) fn open(ordinal: usize) -> Result<Arc<Self>, Error> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|(_, device)| device.strong_count() > 0);
        let known = opened.iter().find(|(known, _)| *known == ordinal);
        if let Some(device) = known.and_then(|(_, device)| device.upgrade()) {
            return Ok(device);
        }
        let device = Self::load(ordinal)?;
        opened.push((ordinal, Arc::downgrade(&device)));
        Ok(device)
    }

    fn load(ordinal: usize) -> Result<Arc<Self>, Error> {
        let count = device_count()?;
        if ordinal >= count {
            return Err(Error::NoDevice(format!("device {ordinal} of {count}")));
        }
        let context = CudaContext::new(ordinal).map_err(|error| Error::NoDevice(text(error)))?;
        // A wait that spins, as it would by default, takes a core a lane from tokenising.
        let blocking = context.set_blocking_synchronize();
        blocking.map_err(|error| driver_error("let waits block", error))?;
        // SAFETY: buffers carry no events; each is used on one stream alone, whose order suffices.
        unsafe { context.disable_event_tracking() };
        let attribute =
            |attribute| context.attribute(attribute).map_err(|e| driver_error("ask the device", e));
        let capability = (
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let name = context.name().map_err(|error| driver_error("ask the device", error))?;
        if capability < MIN_CAPABILITY {
            let ((major, minor), (least, point)) = (capability, MIN_CAPABILITY);
            let problem = format!(
                "{name} has compute capability {major}.{minor}, at least {least}.{point} is needed"
            );
            return Err(Error::NoDevice(problem));
        }
        let shared =
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let module = context.load_module(Ptx::from_binary(KERNELS.to_vec()));
        let module = module.map_err(|error| driver_error("load kernels", error))?;
        let (kernels, max_shared_bytes) = (Mutex::default(), shared.max(0) as u32);
        Ok(Arc::new(Self { context, module, kernels, capability, max_shared_bytes, name }))
    }

    pub(super) fn has_bf16(&self) -> bool {
        self.capability >= BF16_CAPABILITY
    }

    /// Hopper's matrix products want a larger workspace.
    pub(super) fn workspace_bytes(&self) -> usize {
        if self.capability.0 >= 9 { 32 << 20 } else { 4 << 20 }
    }

    pub(super) fn describe(&self) -> String {
        let (major, minor) = self.capability;
        format!("cuda:{}, {} ({major}.{minor})", self.context.ordinal(), self.name)
    }

    /// The kernel `name`, allowed `shared_bytes` of dynamic shared memory.
    pub(super) fn kernel(&self, name: &str, shared_bytes: u32) -> Result<Arc<Kernel>, Error> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let kernel = if let Some(kernel) = kernels.get(name) {
            kernel.clone()
        } else {
            let function = self.module.load_function(name);
            let function = function.map_err(|error| driver_error("find a kernel", error))?;
            let kernel = Arc::new(Kernel { function, shared_bytes: SHARED_BYTES.into() });
            kernels.insert(name.to_owned(), kernel.clone());
            kernel
        };
        if shared_bytes > kernel.shared_bytes.load(Ordering::Relaxed) {
            if shared_bytes > self.max_shared_bytes {
                let (actual, expected) = (shared_bytes as usize, self.max_shared_bytes as usize);
                return Err(Error::Length { what: "shared memory", actual, expected });
            }
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let granted = kernel.function.set_attribute(attribute, shared_bytes as i32);
            granted.map_err(|error| driver_error("grant shared memory", error))?;
            kernel.shared_bytes.store(shared_bytes, Ordering::Relaxed);
        }
        Ok(kernel)
    }
}

/// What a failed call of the driver means: some codes say that the context is gone for good.
pub(super) fn driver_error(call: &'static str, error: DriverError) -> Error {
    let problem = text(error);
    match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => Error::DeviceMemory { call: call.to_owned() },
        CUresult::CUDA_ERROR_LAUNCH_FAILED
        | CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
        | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
        | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | CUresult::CUDA_ERROR_INVALID_PC
        | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
        | CUresult::CUDA_ERROR_ASSERT
        | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
        | CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
        | CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | CUresult::CUDA_ERROR_CONTAINED
        | CUresult::CUDA_ERROR_TENSOR_MEMORY_LEAK
        | CUresult::CUDA_ERROR_MPS_RPC_FAILURE
        | CUresult::CUDA_ERROR_MPS_SERVER_NOT_READY
        | CUresult::CUDA_ERROR_MPS_CLIENT_TERMINATED
        | CUresult::CUDA_ERROR_TIMEOUT
        | CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE
        | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | CUresult::CUDA_ERROR_INVALID_CONTEXT
        | CUresult::CUDA_ERROR_DEINITIALIZED
        | CUresult::CUDA_ERROR_SYSTEM_NOT_READY
        | CUresult::CUDA_ERROR_EXTERNAL_DEVICE
        | CUresult::CUDA_ERROR_UNKNOWN => Error::DeviceLost { call, problem },
        _ => Error::Device { call, problem },
    }
}

/// The same of a launch: one that a kernel's registers or shared memory do not fit fails alone, and
/// names the kernel.
pub(super) fn launch_error(kernel: &str, error: DriverError) -> Error {
    match driver_error("launch a kernel", error) {
        Error::Device { call, problem } => {
            Error::Device { call, problem: format!("{kernel}: {problem}") }
        }
        other => other,
    }
}

fn text(error: DriverError) -> String {
    let described = error.error_string().map(|text| text.to_string_lossy().into_owned());
    format!("{} (CUDA error {})", described.unwrap_or_default(), error.0 as u32)
}
