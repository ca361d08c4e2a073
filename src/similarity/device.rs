//! Where similarities are computed.

use crate::compute::{CpuExec, Dtype, Isa};

/// A device that computes similarities of rows on the host.
#[non_exhaustive]
pub enum Device {
    /// The CPU, on the ambient rayon pool.
    Cpu(CpuExec),
}

impl Device {
    /// The CPU with the instructions of `isa`.
    #[must_use]
    pub fn cpu(isa: Isa) -> Self {
        Self::Cpu(CpuExec::with(isa, Dtype::F32))
    }
}

impl Default for Device {
    /// The CPU with the fastest instructions that it has.
    fn default() -> Self {
        Self::cpu(Isa::detect())
    }
}
