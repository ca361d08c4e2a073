//! Device memory: blocks that return to their lane's pool, and page-locked host memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaContext, CudaStream, result};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::super::dtype::Dtype;
use super::super::error::Error;
use super::device::driver_error;
use super::dtype::NO_INT8;

/// A free block serves a request up to this many times smaller.
const MAX_SLACK: usize = 2;
/// Fresh blocks are filled with it in debug builds: NaN in every dtype, so that a value which no
/// kernel wrote shows.
const POISON: u8 = 0xFF;

/// Free blocks of one stream. What is given back is handed out to later work of the same stream,
/// which runs after all that used the block before.
pub(super) struct FreeBlocks {
    stream: Arc<CudaStream>,
    /// By size in bytes.
    free: Mutex<BTreeMap<usize, Vec<CUdeviceptr>>>,
}

impl FreeBlocks {
    pub(super) fn new(stream: Arc<CudaStream>) -> Arc<Self> {
        Arc::new(Self { stream, free: Mutex::default() })
    }

    /// A block of at least `bytes`, whose contents are anything.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Memory, Error> {
        // Whatever thread this is, what it does with the block is on this device.
        let bound = self.stream.context().bind_to_thread();
        bound.map_err(|error| driver_error("bind the device", error))?;
        let (pointer, bytes) = self.block(bytes)?;
        let memory = Memory { pointer, bytes, owner: Owner::FreeBlocks(self.clone()) };
        if cfg!(debug_assertions) && bytes > 0 {
            memory.fill(POISON, &self.stream)?;
        }
        Ok(memory)
    }

    /// A free block that fits well, else one from the device, if need be after all free blocks have
    /// gone back to it: a large one held by a small request would be missed by the next large one.
    fn block(&self, bytes: usize) -> Result<(CUdeviceptr, usize), Error> {
        let bytes = class(bytes);
        if let Some(block) = self.reuse(bytes) {
            return Ok(block);
        }
        let allocate = || Ok((allocate(self.stream.context(), bytes)?, bytes));
        match allocate() {
            Err(Error::DeviceMemory { .. }) => {
                self.trim()?;
                allocate()
            }
            done => done,
        }
    }

    fn reuse(&self, bytes: usize) -> Option<(CUdeviceptr, usize)> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (&size, blocks) = free.range_mut(bytes..=bytes.saturating_mul(MAX_SLACK)).next()?;
        let pointer = blocks.pop()?;
        if blocks.is_empty() {
            free.remove(&size);
        }
        Some((pointer, size))
    }

    /// Gives the free blocks back to the device.
    pub(super) fn trim(&self) -> Result<(), Error> {
        self.stream.synchronize().map_err(|error| driver_error("synchronise", error))?;
        let free = std::mem::take(&mut *self.free.lock().unwrap_or_else(PoisonError::into_inner));
        for pointer in free.into_values().flatten() {
            release(self.stream.context(), pointer);
        }
        Ok(())
    }

    fn give(&self, pointer: CUdeviceptr, bytes: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(bytes).or_default().push(pointer);
    }
}

impl Drop for FreeBlocks {
    fn drop(&mut self) {
        if let Err(error) = self.trim() {
            tracing::warn!(%error, "device memory is lost");
        }
    }
}

enum Owner {
    FreeBlocks(Arc<FreeBlocks>),
    Device(Arc<CudaContext>),
}

/// A block of device memory.
pub(super) struct Memory {
    pointer: CUdeviceptr,
    bytes: usize,
    owner: Owner,
}

impl Memory {
    /// A copy of `data` that is there when this returns.
    pub(super) fn holding<T>(stream: &Arc<CudaStream>, data: &[T]) -> Result<Self, Error> {
        let context = stream.context();
        let bytes = size_of_val(data);
        let pointer = allocate(context, bytes)?;
        let memory = Self { pointer, bytes, owner: Owner::Device(context.clone()) };
        if bytes > 0 {
            // SAFETY: the block holds as many bytes as `data`, which lives until the copy is over.
            unsafe { result::memcpy_htod_async(pointer, data, stream.cu_stream()) }
                .and_then(|()| stream.synchronize())
                .map_err(|error| driver_error("copy to the device", error))?;
        }
        Ok(memory)
    }

    /// The same of `values` rounded to `dtype`.
    pub(super) fn holding_as(
        stream: &Arc<CudaStream>,
        dtype: Dtype,
        values: &[f32],
    ) -> Result<Self, Error> {
        fn rounded<H: Copy + Default>(values: &[f32]) -> Vec<H>
        where
            [H]: HalfFloatSliceExt,
        {
            let mut narrow = vec![H::default(); values.len()];
            narrow.convert_from_f32_slice(values);
            narrow
        }
        match dtype {
            Dtype::F32 => Self::holding(stream, values),
            Dtype::F16 => Self::holding(stream, &rounded::<f16>(values)),
            Dtype::Bf16 => Self::holding(stream, &rounded::<bf16>(values)),
            Dtype::Int8 => unreachable!("{NO_INT8}"),
        }
    }

    /// At least as many as were asked for.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pointer(&self) -> CUdeviceptr {
        self.pointer
    }

    fn fill(&self, value: u8, stream: &CudaStream) -> Result<(), Error> {
        // SAFETY: the block has as many bytes.
        unsafe { result::memset_d8_async(self.pointer, value, self.bytes, stream.cu_stream()) }
            .map_err(|error| driver_error("fill", error))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match &self.owner {
            Owner::FreeBlocks(pool) => pool.give(self.pointer, self.bytes),
            Owner::Device(context) => release(context, self.pointer),
        }
    }
}

/// What is allocated for a request: large blocks in eighths of powers of two, so that batches of
/// slightly different sizes share them, small ones exactly, so that guard zones stand at their end.
fn class(bytes: usize) -> usize {
    const EXACT: usize = 1 << 20;
    if bytes <= EXACT { bytes } else { bytes.next_multiple_of(1 << (bytes.ilog2() - 3)) }
}

/// At least one byte, so that every block has an address.
fn allocate(context: &Arc<CudaContext>, bytes: usize) -> Result<CUdeviceptr, Error> {
    context.bind_to_thread().map_err(|error| driver_error("bind the device", error))?;
    // SAFETY: contents are written before they are read, as every operation's contract says.
    unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|error| {
        match driver_error("allocate", error) {
            Error::DeviceMemory { .. } => {
                Error::DeviceMemory { call: format!("allocate {bytes} bytes") }
            }
            other => other,
        }
    })
}

fn release(context: &Arc<CudaContext>, pointer: CUdeviceptr) {
    let freed = context.bind_to_thread().and_then(|()| {
        // SAFETY: the block came from `allocate` and nobody else holds it; freeing waits for work
        // that still uses it.
        unsafe { result::free_sync(pointer) }
    });
    if let Err(error) = freed {
        tracing::warn!(%error, "device memory could not be freed");
    }
}

/// Page-locked host memory, which copies run from and to while the host goes on.
pub(super) struct Pinned {
    context: Arc<CudaContext>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: the memory is this value's alone and may be used from any thread.
unsafe impl Send for Pinned {}

impl Pinned {
    pub(super) fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self, Error> {
        context.bind_to_thread().map_err(|error| driver_error("bind the device", error))?;
        // SAFETY: zeroed below, so every byte is initialised.
        let pointer = unsafe { result::malloc_host(bytes.max(1), 0) }
            .map_err(|error| driver_error("allocate page-locked memory", error))?
            .cast::<u8>();
        // SAFETY: the allocation has as many bytes.
        unsafe { pointer.write_bytes(0, bytes) };
        Ok(Self { context: context.clone(), pointer, bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: initialised in `new`; the caller has waited for copies into it.
        unsafe { std::slice::from_raw_parts(self.pointer, self.bytes) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let freed = self.context.bind_to_thread().and_then(|()| {
            // SAFETY: the pointer came from `malloc_host`.
            unsafe { result::free_host(self.pointer.cast()) }
        });
        if let Err(error) = freed {
            tracing::warn!(%error, "page-locked memory could not be freed");
        }
    }
}
