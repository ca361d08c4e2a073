//! AVX2 with FMA: eight lanes; with and without the instruction for i8 products (AVX-VNNI).

// Clippy itself says nothing of it in tests.
#[cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "the names of sixty intrinsics say nothing here")
)]
use std::arch::x86_64::*;

use half::{bf16, f16};

use super::vector::{Op, Simd, dot_bf16_widened};

/// The proof is [`Isa`](super::Isa): only `run` and its siblings make one.
#[derive(Clone, Copy)]
struct Avx2<const VNNI: bool>(());

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,fma,f16c,popcnt")]
pub(super) unsafe fn run<O: Op>(op: O) -> O::Output {
    op.eval(Avx2::<false>(()))
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,fma,f16c,popcnt,avxvnni")]
pub(super) unsafe fn run_vnni<O: Op>(op: O) -> O::Output {
    op.eval(Avx2::<true>(()))
}

/// Calls an intrinsic that only reads registers.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: the value `self` exists only where the processor has the instruction.
        unsafe { $call }
    };
}

/// In each half, the sums of that half of four vectors.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
unsafe fn sums_of_halves(a: __m256, b: __m256, c: __m256, d: __m256) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
        let low = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
        _mm256_add_ps(low, _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)))
    }
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    type F32 = __m256;
    type I32 = __m256i;

    const LANES: usize = 8;
    // 12 sums, two vectors of weights, one broadcast: 15 of 16 registers.
    const TILE_ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        intrinsic!(_mm256_set1_ps(x))
    }

    #[inline(always)]
    fn splat_i32(self, x: i32) -> __m256i {
        intrinsic!(_mm256_set1_epi32(x))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const u32) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m256) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, x: __m256i) {
        // SAFETY: the caller's promise.
        unsafe {
            // The lowest byte of every lane to the front of each half.
            let order = _mm256_set1_epi32(0x0c08_0400);
            let bytes = _mm256_shuffle_epi8(x, order);
            let halves = _mm_unpacklo_epi32(
                _mm256_castsi256_si128(bytes),
                _mm256_extracti128_si256::<1>(bytes),
            );
            _mm_storel_epi64(to.cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn store_u16(self, to: *mut u16, x: __m256i) {
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
            let packed =
                _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256::<1>(low));
            _mm_storeu_si128(to.cast(), packed);
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe {
            let words = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
        }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, x: __m256) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_stream_ps(to, x) }
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
    fn add(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        intrinsic!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn recip(self, x: __m256) -> __m256 {
        self.div(self.splat(1.0), x)
    }

    #[inline(always)]
    fn select_lt(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        intrinsic!(_mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }

    #[inline(always)]
    fn sum(self, x: __m256) -> f32 {
        intrinsic!({
            let halves = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
            _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)))
        })
    }

    #[inline(always)]
    fn max_lane(self, x: __m256) -> f32 {
        intrinsic!({
            let halves = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let pairs = _mm_max_ps(halves, _mm_movehl_ps(halves, halves));
            _mm_cvtss_f32(_mm_max_ss(pairs, _mm_movehdup_ps(pairs)))
        })
    }

    #[inline(always)]
    fn at_least(self, x: __m256, least: __m256) -> u32 {
        intrinsic!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(x, least)) as u32)
    }

    #[inline(always)]
    unsafe fn repeat_quad(self, from: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_broadcast_ps(&from.cast::<__m128>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn store_quad_sums(self, to: *mut f32, x: &[__m256; 4]) {
        // SAFETY: the caller's promise.
        unsafe {
            // The first sum of each, then the second.
            let sums = sums_of_halves(x[0], x[1], x[2], x[3]);
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(sums, order));
        }
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut f32, x: &[__m256; 8]) {
        // SAFETY: the caller's promise.
        unsafe {
            let low = sums_of_halves(x[0], x[1], x[2], x[3]);
            let high = sums_of_halves(x[4], x[5], x[6], x[7]);
            let sums = _mm256_add_ps(
                _mm256_permute2f128_ps::<0x20>(low, high),
                _mm256_permute2f128_ps::<0x31>(low, high),
            );
            _mm256_storeu_ps(to, sums);
        }
    }

    #[inline(always)]
    fn as_i32(self, x: __m256) -> __m256i {
        intrinsic!(_mm256_castps_si256(x))
    }

    #[inline(always)]
    fn as_f32(self, x: __m256i) -> __m256 {
        intrinsic!(_mm256_castsi256_ps(x))
    }

    #[inline(always)]
    fn round(self, x: __m256) -> __m256i {
        intrinsic!(_mm256_cvtps_epi32(x))
    }

    #[inline(always)]
    fn to_f32(self, x: __m256i) -> __m256 {
        intrinsic!(_mm256_cvtepi32_ps(x))
    }

    #[inline(always)]
    fn add_i32(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_add_epi32(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_and_si256(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_or_si256(a, b))
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn sum_i32(self, x: __m256i) -> i32 {
        intrinsic!({
            let (low, high) = (_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
            let halves = _mm_add_epi32(low, high);
            let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b00_00_11_10>(halves));
            let sum = _mm_add_epi32(pairs, _mm_shuffle_epi32::<0b00_00_00_01>(pairs));
            _mm_cvtsi128_si32(sum)
        })
    }

    #[inline(always)]
    fn shl<const BITS: i32>(self, x: __m256i) -> __m256i {
        intrinsic!(_mm256_sll_epi32(x, _mm_cvtsi32_si128(BITS)))
    }

    #[inline(always)]
    fn shr<const BITS: i32>(self, x: __m256i) -> __m256i {
        intrinsic!(_mm256_srl_epi32(x, _mm_cvtsi32_si128(BITS)))
    }

    #[inline(always)]
    fn lookup(self, table: &[f32; 16], i: __m256i) -> __m256 {
        intrinsic!({
            let low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr()), i);
            let high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr().add(8)), i);
            // Bit 3 of the index becomes the sign that the blend looks at.
            _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(i)))
        })
    }

    #[inline(always)]
    fn dot_bf16(self, sum: __m256, a: __m256i, b: __m256i) -> __m256 {
        dot_bf16_widened(self, sum, a, b)
    }

    #[inline(always)]
    fn dot_i8(self, sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        if VNNI {
            intrinsic!(_mm256_dpbusd_avx_epi32(sum, a, b))
        } else {
            // Widened to i16, as sums of two products overflow that; the even bytes, then the odd.
            intrinsic!({
                let even = _mm256_and_si256(a, _mm256_set1_epi16(0xff));
                let odd = _mm256_srli_epi16::<8>(a);
                let b_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b));
                let b_odd = _mm256_srai_epi16::<8>(b);
                let pairs = _mm256_add_epi32(
                    _mm256_madd_epi16(even, b_even),
                    _mm256_madd_epi16(odd, b_odd),
                );
                _mm256_add_epi32(sum, pairs)
            })
        }
    }
}
