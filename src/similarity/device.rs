//! Where similarities are computed.

use super::Error;
use crate::compute::{CpuExec, CudaDevice, CudaSimilarity, Dtype, Isa};

/// A device that computes similarities of rows on the host.
#[non_exhaustive]
pub enum Device {
    /// The CPU, on the ambient rayon pool.
    Cpu(CpuExec),
    /// A CUDA device, in builds with the feature `cuda`.
    Cuda(CudaSimilarity),
}

impl Device {
    /// The CPU with the instructions of `isa`.
    #[must_use]
    pub fn cpu(isa: Isa) -> Self {
        Self::Cpu(CpuExec::with(isa, Dtype::F32))
    }

    /// CUDA device `ordinal`, which an encoder may use at the same time.
    ///
    /// # Errors
    /// [`compute::Error::NoDevice`](crate::compute::Error::NoDevice) where there is no such device
    /// or this build is without the feature `cuda`.
    pub fn cuda(ordinal: usize) -> Result<Self, Error> {
        Ok(Self::Cuda(CudaDevice::open(ordinal)?.similarity()?))
    }
}

impl Default for Device {
    /// The CPU with the fastest instructions that it has.
    fn default() -> Self {
        Self::cpu(Isa::detect())
    }
}
