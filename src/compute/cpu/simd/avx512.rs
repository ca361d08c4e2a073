//! AVX-512: sixteen lanes; with and without the instructions for i8 (VNNI) and bf16 products.

// Clippy itself says nothing of it in tests.
#[cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "the names of sixty intrinsics say nothing here")
)]
use std::arch::x86_64::*;

use half::{bf16, f16};

use super::shuffle;
use super::vector::{Op, Simd, dot_bf16_widened};

/// The proof is [`Isa`](super::Isa): only `run` and its siblings make one.
#[derive(Clone, Copy)]
struct Avx512<const VNNI: bool, const BF16: bool>(());

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt")]
pub(super) unsafe fn run<O: Op>(op: O) -> O::Output {
    op.eval(Avx512::<false, false>(()))
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,popcnt")]
pub(super) unsafe fn run_vnni<O: Op>(op: O) -> O::Output {
    op.eval(Avx512::<true, false>(()))
}

/// # Safety
/// The processor has the instructions.
#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c,popcnt"
)]
pub(super) unsafe fn run_bf16<O: Op>(op: O) -> O::Output {
    op.eval(Avx512::<true, true>(()))
}

/// Calls an intrinsic that only reads registers.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: the value `self` exists only where the processor has the instruction.
        unsafe { $call }
    };
}

impl<const VNNI: bool, const BF16: bool> Simd for Avx512<VNNI, BF16> {
    type F32 = __m512;
    type I32 = __m512i;

    const LANES: usize = 16;
    // 28 sums, two vectors of weights, one broadcast: 31 of 32 registers.
    const TILE_ROWS: usize = 14;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn splat_i32(self, x: i32) -> __m512i {
        intrinsic!(_mm512_set1_epi32(x))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const u32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, x: __m512i) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(x)) }
    }

    #[inline(always)]
    unsafe fn store_u16(self, to: *mut u16, x: __m512i) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(x)) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
        }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, x: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_stream_ps(to, x) }
    }

    #[inline(always)]
    fn fence(self) {
        intrinsic!(_mm_sfence());
    }

    #[inline(always)]
    fn prefetch(self, at: *const u32) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T0>(at.cast()));
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn recip(self, x: __m512) -> __m512 {
        // The divider would take 16 cycles; an estimate of 14 bits and one step of Newton's, 4.
        intrinsic!({
            let estimate = _mm512_rcp14_ps(x);
            let error = _mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(estimate, error, estimate)
        })
    }

    #[inline(always)]
    fn select_lt(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        intrinsic!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes))
    }

    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        intrinsic!(_mm512_reduce_add_ps(x))
    }

    #[inline(always)]
    fn max_lane(self, x: __m512) -> f32 {
        intrinsic!(_mm512_reduce_max_ps(x))
    }

    #[inline(always)]
    fn at_least(self, x: __m512, least: __m512) -> u32 {
        intrinsic!(u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, least)))
    }

    #[inline(always)]
    unsafe fn repeat_quad(self, from: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_broadcast_f32x4(_mm_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn alternate_quads(self, from: *const f32, stride: usize, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { shuffle::alternate_quads(from, stride, to) }
    }

    #[inline(always)]
    unsafe fn store_quad_sums(self, to: *mut f32, x: &[__m512; 4]) {
        // SAFETY: the caller's promise.
        unsafe { shuffle::store_quad_sums(to, x) }
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut f32, x: &[__m512; 8]) {
        // SAFETY: the caller's promise.
        unsafe { shuffle::store_sums(to, x) }
    }

    #[inline(always)]
    fn as_i32(self, x: __m512) -> __m512i {
        intrinsic!(_mm512_castps_si512(x))
    }

    #[inline(always)]
    fn as_f32(self, x: __m512i) -> __m512 {
        intrinsic!(_mm512_castsi512_ps(x))
    }

    #[inline(always)]
    fn round(self, x: __m512) -> __m512i {
        intrinsic!(_mm512_cvtps_epi32(x))
    }

    #[inline(always)]
    fn to_f32(self, x: __m512i) -> __m512 {
        intrinsic!(_mm512_cvtepi32_ps(x))
    }

    #[inline(always)]
    fn add_i32(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_and_si512(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_xor_si512(a, b))
    }

    #[inline(always)]
    fn sum_i32(self, x: __m512i) -> i32 {
        intrinsic!(_mm512_reduce_add_epi32(x))
    }

    #[inline(always)]
    fn shl<const BITS: i32>(self, x: __m512i) -> __m512i {
        intrinsic!(_mm512_sll_epi32(x, _mm_cvtsi32_si128(BITS)))
    }

    #[inline(always)]
    fn shr<const BITS: i32>(self, x: __m512i) -> __m512i {
        intrinsic!(_mm512_srl_epi32(x, _mm_cvtsi32_si128(BITS)))
    }

    #[inline(always)]
    fn lookup(self, table: &[f32; 16], i: __m512i) -> __m512 {
        intrinsic!(_mm512_permutexvar_ps(i, _mm512_loadu_ps(table.as_ptr())))
    }

    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        stride: usize,
        rows: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { shuffle::transpose(from, stride, rows, to, to_stride) }
    }

    #[inline(always)]
    fn dot_bf16(self, sum: __m512, a: __m512i, b: __m512i) -> __m512 {
        if BF16 {
            // SAFETY: as above; the types are the same 64 bytes.
            unsafe {
                let a = std::mem::transmute::<__m512i, __m512bh>(a);
                let b = std::mem::transmute::<__m512i, __m512bh>(b);
                _mm512_dpbf16_ps(sum, a, b)
            }
        } else {
            dot_bf16_widened(self, sum, a, b)
        }
    }

    #[inline(always)]
    fn dot_i8(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        if VNNI {
            intrinsic!(_mm512_dpbusd_epi32(sum, a, b))
        } else {
            // Widened to i16, as sums of two products overflow that; the even bytes, then the odd.
            intrinsic!({
                let even = _mm512_and_si512(a, _mm512_set1_epi16(0xff));
                let odd = _mm512_srli_epi16::<8>(a);
                let b_even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b));
                let b_odd = _mm512_srai_epi16::<8>(b);
                let pairs = _mm512_add_epi32(
                    _mm512_madd_epi16(even, b_even),
                    _mm512_madd_epi16(odd, b_odd),
                );
                _mm512_add_epi32(sum, pairs)
            })
        }
    }
}
