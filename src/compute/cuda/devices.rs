//! Devices as callers open them.

use std::sync::Arc;

use super::super::dtype::{Dtype, Numerics};
use super::super::error::Error;
use super::device::{Device, device_count};
use super::exec::CudaExec;
use super::slices::CudaSimilarity;

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
        device_count()
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
