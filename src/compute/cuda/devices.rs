//! Devices as callers open them.

use std::sync::Arc;

use super::super::dtype::{Dtype, Numerics};
use super::super::error::Error;
use super::device::{Device, device_count};
use super::exec::CudaExec;
use super::lane::Lane;
use super::slices::CudaSimilarity;

/// Lanes of a device: while one computes, the other's copies run and its launches queue up.
const LANES: usize = 2;

/// A device with our kernels loaded, for as long as this or an executor of it lives.
pub struct CudaDevice {
    device: Arc<Device>,
    /// What its executors run on, whatever model they are of.
    lanes: [Arc<Lane>; LANES],
}

impl CudaDevice {
    /// The devices that this process may use.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where the driver or cuBLAS is missing.
    pub fn count() -> Result<usize, Error> {
        device_count()
    }

    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no such device or it is too old.
    pub fn open(ordinal: usize) -> Result<Self, Error> {
        let device = Device::open(ordinal)?;
        let lanes = [Lane::new(&device)?, Lane::new(&device)?];
        Ok(Self { device, lanes })
    }

    /// Batches that it runs at a time.
    #[must_use]
    pub fn lanes(&self) -> usize {
        LANES
    }

    /// Whether it computes in bf16.
    #[must_use]
    pub fn has_bf16(&self) -> bool {
        self.device.has_bf16()
    }

    /// Executors in `dtype`, one on each lane, which run on weights that any of them has loaded.
    ///
    /// # Errors
    /// [`Error::Dtype`] where the device has no such dtype, and those of the device.
    pub fn execs(&self, dtype: Dtype, numerics: Numerics) -> Result<Vec<CudaExec>, Error> {
        if dtype == Dtype::Int8 || (dtype == Dtype::Bf16 && !self.has_bf16()) {
            let device = self.device.describe();
            let supported = if self.has_bf16() { "f32, f16, bf16" } else { "f32, f16" };
            return Err(Error::Dtype { dtype, device, supported });
        }
        self.lanes.iter().map(|lane| CudaExec::on(lane, dtype, numerics)).collect()
    }

    /// What compares rows on the host on this device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn similarity(&self) -> Result<CudaSimilarity, Error> {
        CudaSimilarity::on(&self.device)
    }
}
