//! The instruction sets, of which one is chosen at run time.
//!
//! Invariant: an [`Isa`] other than the scalar one exists only where the processor was seen to have
//! its instructions, so that the value is the proof.

use std::fmt;

use super::scalar::Scalar;
use super::vector::{Op, Simd};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// An instruction set that this processor has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx2Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Level {
    #[cfg(target_arch = "x86_64")]
    const ALL: &[Self] = &[
        Self::Scalar,
        Self::Avx2,
        Self::Avx2Vnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const ALL: &[Self] = &[Self::Scalar];

    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni => "avx2-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "avx512-bf16",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni => Self::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_available() && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => {
                Self::Avx512Vnni.is_available() && is_x86_feature_detected!("avx512bf16")
            }
        }
    }
}

impl Isa {
    /// The instruction sets that this processor has, the best last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Level::ALL.iter().copied().filter(|level| level.is_available()).map(Self)
    }

    /// The fastest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        let fast = |isa: &Self| !isa.has_bf16_products() || !is_intel();
        Self::available().rfind(fast).unwrap_or(Self(Level::Scalar))
    }

    /// The one called `name`, if this processor has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::available().find(|isa| isa.name() == name)
    }

    /// The names of all, whether this processor has them or not.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Level::ALL.iter().map(|level| level.name())
    }

    /// Its name, such as `avx512-vnni`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Whether products of bf16 run at least as fast as those of f32.
    #[must_use]
    pub fn has_bf16_products(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Level::Avx512Bf16;
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// Whether products of bytes run faster than those of f32.
    #[must_use]
    pub fn has_i8_products(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self.0, Level::Avx2Vnni | Level::Avx512Vnni | Level::Avx512Bf16);
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// Values of a vector.
    pub(in super::super) fn lanes(self) -> usize {
        struct Lanes;
        impl Op for Lanes {
            type Output = usize;
            #[inline(always)]
            fn eval<S: Simd>(self, _: S) -> usize {
                S::LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs `op` with these instructions.
    #[inline]
    pub(in super::super) fn run<O: Op>(self, op: O) -> O::Output {
        // SAFETY: an `Isa` is made only where the processor has its instructions.
        unsafe {
            match self.0 {
                Level::Scalar => op.eval(Scalar),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2::run(op),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2Vnni => avx2::run_vnni(op),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512::run(op),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512Vnni => avx512::run_vnni(op),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512Bf16 => avx512::run_bf16(op),
            }
        }
    }
}

/// Whether this is a processor of Intel's, whose AVX-512 multiplies bf16 at half the rate of f32
/// (seen on Emerald Rapids: 95 to 200 GFLOP/s; Zen 5 has twice the rate of f32).
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let id = std::arch::x86_64::__cpuid(0);
    [id.ebx, id.edx, id.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

impl Default for Isa {
    fn default() -> Self {
        Self::detect()
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
