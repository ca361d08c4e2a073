//! Moves values across the lanes of AVX-512 vectors.

// Clippy itself says nothing of it in tests.
#[cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "the names of intrinsics say nothing here")
)]
use std::arch::x86_64::*;

/// The even quarters of two vectors, and the odd ones.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
unsafe fn even_and_odd(a: __m512, b: __m512) -> (__m512, __m512) {
    // SAFETY: the caller's promise.
    unsafe { (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)) }
}

/// The even quarters of a vector, and the odd ones.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
unsafe fn even_and_odd_of(x: __m512) -> (__m256, __m256) {
    // SAFETY: the caller's promise.
    unsafe {
        let (even, odd) = even_and_odd(x, x);
        (_mm512_castps512_ps256(even), _mm512_castps512_ps256(odd))
    }
}

/// In each quarter, the sums of that quarter of four vectors.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
unsafe fn sums_of_quarters(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
        let low = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
        _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)))
    }
}

/// See [`Simd::alternate_quads`](super::Simd::alternate_quads).
///
/// # Safety
/// As there, and the processor has the instructions.
#[inline(always)]
pub(super) unsafe fn alternate_quads(from: *const f32, stride: usize, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(stride)));
        let c = _mm512_loadu_ps(from.add(2 * stride));
        let d = _mm512_loadu_ps(from.add(3 * stride));
        let (upper, lower) = (even_and_odd(a, b), even_and_odd(c, d));
        let (first, third) = even_and_odd(upper.0, lower.0);
        let (second, fourth) = even_and_odd(upper.1, lower.1);
        _mm512_storeu_ps(to, first);
        _mm512_storeu_ps(to.add(16), second);
        _mm512_storeu_ps(to.add(32), third);
        _mm512_storeu_ps(to.add(48), fourth);
    }
}

/// See [`Simd::store_quad_sums`](super::Simd::store_quad_sums).
///
/// # Safety
/// As there, and the processor has the instructions.
#[inline(always)]
pub(super) unsafe fn store_quad_sums(to: *mut f32, x: &[__m512; 4]) {
    // SAFETY: the caller's promise.
    unsafe {
        // The first sum of each, then the second.
        let sums = sums_of_quarters(x[0], x[1], x[2], x[3]);
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_storeu_ps(to, _mm512_permutexvar_ps(order, sums));
    }
}

/// See [`Simd::store_sums`](super::Simd::store_sums).
///
/// # Safety
/// As there, and the processor has the instructions.
#[inline(always)]
pub(super) unsafe fn store_sums(to: *mut f32, x: &[__m512; 8]) {
    // SAFETY: the caller's promise.
    unsafe {
        let low = sums_of_quarters(x[0], x[1], x[2], x[3]);
        let high = sums_of_quarters(x[4], x[5], x[6], x[7]);
        let (even, odd) = even_and_odd(low, high);
        let (even, odd) = even_and_odd_of(_mm512_add_ps(even, odd));
        _mm256_storeu_ps(to, _mm256_add_ps(even, odd));
    }
}

/// See [`Simd::transpose`](super::Simd::transpose).
///
/// # Safety
/// As there, and the processor has the instructions.
#[inline(always)]
pub(super) unsafe fn transpose(
    from: *const f32,
    stride: usize,
    rows: usize,
    to: *mut f32,
    to_stride: usize,
) {
    // No closures over arrays, as those would not be compiled with the instruction set.
    // SAFETY: the caller's promise.
    unsafe {
        let mut square = [_mm512_setzero_ps(); 16];
        for (index, row) in square.iter_mut().enumerate() {
            *row = _mm512_loadu_ps(from.add(index.min(rows - 1) * stride));
        }
        let mut fours = square;
        for (rows, fours) in square.chunks_exact(4).zip(fours.chunks_exact_mut(4)) {
            let low = (_mm512_unpacklo_ps(rows[0], rows[1]), _mm512_unpacklo_ps(rows[2], rows[3]));
            let high = (_mm512_unpackhi_ps(rows[0], rows[1]), _mm512_unpackhi_ps(rows[2], rows[3]));
            for (place, pairs) in [(0, low), (2, high)] {
                let (x, y) = (_mm512_castps_pd(pairs.0), _mm512_castps_pd(pairs.1));
                fours[place] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
                fours[place + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
            }
        }
        // Each holds a column of four rows in every quarter: the quarters are gathered.
        for column in 0..4 {
            let upper = even_and_odd(fours[column], fours[column + 4]);
            let lower = even_and_odd(fours[column + 8], fours[column + 12]);
            for (place, halves) in [(0, (upper.0, lower.0)), (4, (upper.1, lower.1))] {
                let (low, high) = even_and_odd(halves.0, halves.1);
                _mm512_storeu_ps(to.add((column + place) * to_stride), low);
                _mm512_storeu_ps(to.add((column + place + 8) * to_stride), high);
            }
        }
    }
}
