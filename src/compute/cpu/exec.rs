//! The CPU form: what every operation of it needs to know.

use super::super::dtype::Dtype;
use super::super::exec::{Batching, Exec};
use super::arena::Arena;
use super::narrow::Format;
use super::simd::Isa;
use super::weights::WeightMemory;
use super::words::Words;

/// The CPU form. Runs on the ambient rayon pool; where that has one thread, on the caller's own.
#[derive(Default)]
pub struct CpuExec {
    pub(super) isa: Isa,
    /// Of dense layers in working precision, and what they read.
    pub(super) dtype: Dtype,
    pub(super) arena: Arena,
    pub(super) weights: WeightMemory,
}

/// A processor, whose executors share the memory of their activations.
#[derive(Default)]
pub struct CpuDevice {
    isa: Isa,
    arena: Arena,
}

impl CpuDevice {
    /// A processor with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa, arena: Arena::default() }
    }

    /// The instruction set of its kernels.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// An executor in `dtype`.
    ///
    /// # Panics
    /// For f16, which there are no kernels for.
    #[must_use]
    pub fn exec(&self, dtype: Dtype) -> CpuExec {
        assert_ne!(dtype, Dtype::F16, "a CPU computes in f32, bf16 or int8");
        let (isa, arena) = (self.isa, self.arena.clone());
        CpuExec { isa, dtype, arena, weights: WeightMemory::default() }
    }
}

impl CpuExec {
    /// In f32, with the fastest kernels that this processor has.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// In `dtype`, with the kernels of `isa`, on memory of its own.
    ///
    /// # Panics
    /// For f16, which there are no kernels for.
    #[must_use]
    pub fn with(isa: Isa, dtype: Dtype) -> Self {
        CpuDevice::new(isa).exec(dtype)
    }

    /// How dense layers in working precision read rows.
    pub(super) fn format(&self) -> Format {
        Words::of(self.isa, self.dtype).format()
    }
}

impl Exec for CpuExec {
    fn describe(&self) -> String {
        let Self { isa, dtype, .. } = self;
        format!("cpu, {dtype}, {} threads, {isa}", rayon::current_num_threads())
    }

    fn batching(&self) -> Batching {
        Batching::of_cpu()
    }
}
