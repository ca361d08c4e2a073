//! A lane: one stream with its own memory, copies and products. Work of a lane runs in order; work
//! of two lanes of a device overlaps.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::Pod;
use cudarc::driver::{CudaStream, result};

use super::super::error::Error;
use super::device::{Device, driver_error};
use super::memory::{FreeBlocks, Memory, Pinned};
use super::pieces::Pieces;

/// Page-locked memory for copies to the device, to begin with.
const STAGING_BYTES: usize = 256 << 10;

/// A stream of a device.
pub(super) struct Lane {
    pub(super) device: Arc<Device>,
    pub(super) stream: Arc<CudaStream>,
    pub(super) pool: Arc<FreeBlocks>,
    copies: Mutex<Copies>,
    pieces: Mutex<Pieces>,
}

/// Copies under way and what has been copied.
struct Copies {
    /// To the device; the first `used` bytes may still be read.
    staging: Pinned,
    used: usize,
    /// From the device; nobody reads it outside of a download.
    landing: Pinned,
    /// What the host last sent under a name: the layers of a model ask for the same again.
    sent: HashMap<&'static str, (Vec<u32>, Arc<Memory>)>,
}

impl Lane {
    pub(super) fn new(device: &Arc<Device>) -> Result<Arc<Self>, Error> {
        let stream = device.context.new_stream();
        let stream = stream.map_err(|error| driver_error("make a stream", error))?;
        let copies = Copies {
            staging: Pinned::new(&device.context, STAGING_BYTES)?,
            used: 0,
            landing: Pinned::new(&device.context, STAGING_BYTES)?,
            sent: HashMap::new(),
        };
        let pool = FreeBlocks::new(stream.clone());
        let (device, copies, pieces) = (device.clone(), copies.into(), Mutex::default());
        Ok(Arc::new(Self { device, stream, pool, copies, pieces }))
    }

    /// A block whose contents are anything.
    pub(super) fn take<T>(&self, len: usize) -> Result<Memory, Error> {
        self.pool.take(len * size_of::<T>())
    }

    /// Sends `data`; the copy runs in the lane's order.
    pub(super) fn upload<T: Pod>(&self, data: &[T]) -> Result<Memory, Error> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(&mut copies, bytemuck::cast_slice(data))
    }

    /// Sends `data`, unless it is what was sent last under this name.
    pub(super) fn upload_once(
        &self,
        name: &'static str,
        data: &[u32],
    ) -> Result<Arc<Memory>, Error> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sent, memory)) = copies.sent.get(name)
            && sent == data
        {
            return Ok(memory.clone());
        }
        // Its block may serve the next.
        copies.sent.remove(name);
        let memory = Arc::new(self.send(&mut copies, bytemuck::cast_slice(data))?);
        copies.sent.insert(name, (data.to_vec(), memory.clone()));
        Ok(memory)
    }

    fn send(&self, copies: &mut Copies, bytes: &[u8]) -> Result<Memory, Error> {
        let memory = self.pool.take(bytes.len())?;
        if bytes.is_empty() {
            return Ok(memory);
        }
        if copies.used + bytes.len() > copies.staging.len() {
            // Once for a size of batch: room for all of its copies.
            self.synchronise()?;
            let needed = 2 * (copies.used + bytes.len());
            copies.staging = Pinned::new(&self.device.context, needed)?;
            copies.used = 0;
        }
        let staged = &mut copies.staging.bytes_mut()[copies.used..][..bytes.len()];
        staged.copy_from_slice(bytes);
        copies.used += bytes.len();
        // SAFETY: the block has as many bytes, and what is staged stays until a synchronisation.
        unsafe { result::memcpy_htod_async(memory.pointer(), staged, self.stream.cu_stream()) }
            .map_err(|error| driver_error("copy to the device", error))?;
        Ok(memory)
    }

    /// Sends `data` piece by piece, for operands of megabytes; the copies run in the lane's order.
    pub(super) fn upload_in_pieces<T: Pod>(&self, data: &[T]) -> Result<Memory, Error> {
        let memory = self.take::<T>(data.len())?;
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.send(&self.stream, &memory, bytemuck::cast_slice(data))?;
        Ok(memory)
    }

    /// Brings the first `len` values of a block, after all work before it.
    pub(super) fn download<T: Pod>(&self, memory: &Memory, len: usize) -> Result<Vec<T>, Error> {
        /// Page-locked memory is scarce: what is more comes in pieces.
        const PIECE_BYTES: usize = 64 << 20;
        let piece = PIECE_BYTES / size_of::<T>();
        let mut values = Vec::with_capacity(len);
        for first in (0..len.max(1)).step_by(piece) {
            let range = first..len.min(first + piece);
            self.read(memory, range, |piece| values.extend_from_slice(piece))?;
        }
        Ok(values)
    }

    /// Shows some values of a block to `take`, after all work before it: the lane's only wait but
    /// for pieces of operands.
    pub(super) fn read<T: Pod>(
        &self,
        memory: &Memory,
        range: Range<usize>,
        take: impl FnOnce(&[T]),
    ) -> Result<(), Error> {
        let bytes = range.len() * size_of::<T>();
        assert!(range.end * size_of::<T>() <= memory.bytes(), "values of a block");
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > copies.landing.len() {
            copies.landing = Pinned::new(&self.device.context, bytes)?;
        }
        if bytes > 0 {
            let from = memory.pointer() + (range.start * size_of::<T>()) as u64;
            let landing = &mut copies.landing.bytes_mut()[..bytes];
            self.bind()?;
            // SAFETY: the block has as many bytes, and nobody reads the landing before the wait.
            unsafe { result::memcpy_dtoh_async(landing, from, self.stream.cu_stream()) }
                .map_err(|error| driver_error("copy to the host", error))?;
        }
        self.synchronise()?;
        copies.used = 0;
        take(bytemuck::cast_slice(&copies.landing.bytes()[..bytes]));
        Ok(())
    }

    pub(super) fn bind(&self) -> Result<(), Error> {
        let bound = self.device.context.bind_to_thread();
        bound.map_err(|error| driver_error("bind the device", error))
    }

    pub(super) fn synchronise(&self) -> Result<(), Error> {
        self.stream.synchronize().map_err(|error| driver_error("wait for the device", error))
    }
}

impl Drop for Lane {
    /// What is under way may still read the lane's memory.
    fn drop(&mut self) {
        if let Err(error) = self.synchronise() {
            tracing::warn!(%error, "a lane ends with work under way");
        }
    }
}
