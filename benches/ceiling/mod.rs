//! The most that one core can do, measured.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "vector instructions, if seen"))]

use std::hint::black_box;
use std::time::Instant;

use chunkflow::compute::Dtype;

const TRIES: usize = 100;
const ROUNDS: usize = 1 << 18;
/// More than latency times instructions a cycle, and few enough for 16 registers.
const CHAINS: usize = 12;

/// `amount` over the shortest of several runs.
fn rate(amount: usize, mut run: impl FnMut()) -> f64 {
    let seconds = (0..TRIES).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    amount as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// Products and sums a second of the fastest loop for `dtype`, if there is one.
pub(super) fn products(dtype: Dtype) -> Option<f64> {
    let loops = available(dtype);
    let rates = loops.into_iter().map(|(ops, run)| rate(ops * CHAINS * ROUNDS, run));
    rates.max_by(f64::total_cmp)
}

/// Bytes a second of the sum of an array of `bytes`.
pub(super) fn bytes(bytes: usize) -> f64 {
    let array = vec![1.0_f32; bytes / 4];
    let passes = (16_usize << 20).div_ceil(bytes);
    rate(passes * bytes, || {
        for _ in 0..passes {
            black_box(sum(black_box(&array)));
        }
    })
}

/// Sums in as many chains as keep all loads in flight; vectors are the compiler's affair.
#[expect(clippy::inline_always, reason = "a call would lose the instruction set")]
#[inline(always)]
fn lanes(array: &[f32]) -> f32 {
    let mut sums = [0.0; 128];
    for part in array.chunks_exact(128) {
        for (sum, x) in sums.iter_mut().zip(part) {
            *sum += x;
        }
    }
    sums.iter().sum()
}

#[cfg(not(target_arch = "x86_64"))]
use self::lanes as sum;
#[cfg(target_arch = "x86_64")]
use self::x86::{available, sum};

#[cfg(not(target_arch = "x86_64"))]
fn available(_: Dtype) -> Vec<(usize, fn())> {
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[expect(clippy::wildcard_imports, reason = "the names of intrinsics say nothing here")]
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use chunkflow::compute::Dtype;

    use super::{CHAINS, ROUNDS, lanes};

    /// A loop of one instruction whose operands stay in registers.
    macro_rules! registers {
        ($name:ident, $features:literal, $zero:expr, $x:expr, |$sum:ident, $y:ident| $step:expr) => {
            #[target_feature(enable = $features)]
            fn $name() {
                let $y = black_box($x);
                let mut sums = [$zero; CHAINS];
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        let $sum = *sum;
                        *sum = $step;
                    }
                }
                black_box(sums);
            }
        };
    }

    registers!(fma_256, "avx2,fma", _mm256_setzero_ps(), _mm256_set1_ps(0.5), |sum, x| {
        _mm256_fmadd_ps(x, x, sum)
    });
    registers!(fma_512, "avx512f", _mm512_setzero_ps(), _mm512_set1_ps(0.5), |sum, x| {
        _mm512_fmadd_ps(x, x, sum)
    });
    registers!(
        bf16_512,
        "avx512f,avx512bw,avx512bf16",
        _mm512_setzero_ps(),
        _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5), _mm512_set1_ps(0.5)),
        |sum, x| _mm512_dpbf16_ps(sum, x, x)
    );
    registers!(i8_256, "avx2,avxvnni", _mm256_setzero_si256(), _mm256_set1_epi8(1), |sum, x| {
        _mm256_dpbusd_avx_epi32(sum, x, x)
    });
    registers!(
        i8_512,
        "avx512f,avx512vnni",
        _mm512_setzero_si512(),
        _mm512_set1_epi8(1),
        |sum, x| _mm512_dpbusd_epi32(sum, x, x)
    );

    /// The loops for a dtype that this processor has, and the operations of one instruction.
    pub(super) fn available(dtype: Dtype) -> Vec<(usize, fn())> {
        let mut loops: Vec<(usize, fn())> = Vec::new();
        /// Adds a loop where the processor was seen to have its instructions.
        macro_rules! add {
            ($run:ident, $ops:literal, $($feature:tt),+) => {
                if $(is_x86_feature_detected!($feature))&&+ {
                    // SAFETY: the processor has the instructions.
                    loops.push(($ops, || unsafe { $run() }));
                }
            };
        }
        if dtype != Dtype::Int8 {
            add!(fma_256, 16, "avx2", "fma");
            add!(fma_512, 32, "avx512f");
        }
        if dtype == Dtype::Bf16 {
            add!(bf16_512, 64, "avx512f", "avx512bw", "avx512bf16");
        }
        if dtype == Dtype::Int8 {
            add!(i8_256, 64, "avx2", "avxvnni");
            add!(i8_512, 128, "avx512f", "avx512vnni");
        }
        loops
    }

    #[target_feature(enable = "avx2")]
    fn sum_256(array: &[f32]) -> f32 {
        lanes(array)
    }

    #[target_feature(enable = "avx512f")]
    fn sum_512(array: &[f32]) -> f32 {
        lanes(array)
    }

    pub(super) fn sum(array: &[f32]) -> f32 {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            unsafe { sum_512(array) }
        } else if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            unsafe { sum_256(array) }
        } else {
            lanes(array)
        }
    }
}
