//! What vector code is written over: lanes of 32 bits, and operations on them.

use half::{bf16, f16};

/// An operation that is compiled for every instruction set.
pub(in super::super) trait Op {
    /// What it gives.
    type Output;

    /// Runs it. Implementations are `#[inline(always)]`, as a call would lose the instruction set.
    fn eval<S: Simd>(self, simd: S) -> Self::Output;
}

/// Lanes of 32 bits and what can be done with them.
///
/// `min` and `max` give their second operand where either is NaN.
pub(in super::super) trait Simd: Copy {
    /// Lanes of f32.
    type F32: Copy;
    /// Lanes of i32, or of 32 bits of whatever else.
    type I32: Copy;

    /// Values of a vector.
    const LANES: usize;
    /// Rows of the largest tile of a matrix product, two vectors wide, that fits the registers.
    const TILE_ROWS: usize;

    fn splat(self, x: f32) -> Self::F32;
    fn splat_i32(self, x: i32) -> Self::I32;
    /// # Safety
    /// `LANES` values are readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::F32;
    /// # Safety
    /// `LANES` words are readable at `from`.
    unsafe fn load_i32(self, from: *const u32) -> Self::I32;
    /// # Safety
    /// `LANES` values are writable at `to`.
    unsafe fn store(self, to: *mut f32, x: Self::F32);
    /// # Safety
    /// `LANES` bytes are writable at `to`.
    unsafe fn store_u8(self, to: *mut u8, x: Self::I32);
    /// # Safety
    /// `LANES` halves are writable at `to`.
    unsafe fn store_u16(self, to: *mut u16, x: Self::I32);
    /// The first `LANES` f16 at `from`, widened.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load_f16(self, from: *const f16) -> Self::F32;
    /// The first `LANES` bf16 at `from`, widened.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load_bf16(self, from: *const bf16) -> Self::F32;
    /// Stores past the caches, for memory that is written once and not soon read.
    ///
    /// # Safety
    /// `LANES` values are writable at `to`, which is aligned to as many. Other threads may read them
    /// after a [`fence`](Self::fence).
    unsafe fn stream(self, to: *mut f32, x: Self::F32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to, x) }
    }
    /// Makes what was streamed visible to other threads.
    fn fence(self) {}
    /// Brings the line at `at` into the caches; any address will do.
    fn prefetch(self, at: *const u32);

    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `1 / x` within 2 ULP for positive normal `x`; where that is subnormal, it or 0.
    fn recip(self, x: Self::F32) -> Self::F32;
    /// `yes` where `a < b`, else `no`.
    fn select_lt(self, a: Self::F32, b: Self::F32, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// The sum of the lanes, in an order of its own.
    fn sum(self, x: Self::F32) -> f32;
    /// The largest lane.
    fn max_lane(self, x: Self::F32) -> f32;
    /// A bit for every lane with `x >= least`, the first the lowest.
    fn at_least(self, x: Self::F32, least: Self::F32) -> u32;
    /// Four values, again and again.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn repeat_quad(self, from: *const f32) -> Self::F32;
    /// Writes `LANES` values of each of `LANES / 4` rows, `stride` apart at `from`, so that rows
    /// alternate every four.
    ///
    /// # Safety
    /// The rows are readable, and as many values are writable at `to`.
    #[inline(always)]
    unsafe fn alternate_quads(self, from: *const f32, stride: usize, to: *mut f32) {
        let rows = Self::LANES / 4;
        for quad in 0..rows {
            for row in 0..rows {
                // SAFETY: the caller's promise.
                unsafe {
                    let x = from.add(row * stride + 4 * quad).cast::<[f32; 4]>().read_unaligned();
                    to.add((quad * rows + row) * 4).cast::<[f32; 4]>().write_unaligned(x);
                }
            }
        }
    }
    /// Writes the sums of every four lanes: those of the first vector, then of the next.
    ///
    /// # Safety
    /// `LANES` values are writable at `to`.
    unsafe fn store_quad_sums(self, to: *mut f32, x: &[Self::F32; 4]);
    /// Writes the sum of the lanes of each, all in one order.
    ///
    /// # Safety
    /// Eight values are writable at `to`.
    unsafe fn store_sums(self, to: *mut f32, x: &[Self::F32; 8]);

    fn as_i32(self, x: Self::F32) -> Self::I32;
    fn as_f32(self, x: Self::I32) -> Self::F32;
    /// To the nearest integer, ties to even; `x` is within i32.
    fn round(self, x: Self::F32) -> Self::I32;
    fn to_f32(self, x: Self::I32) -> Self::F32;
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn and(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn or(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn xor(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn shl<const BITS: i32>(self, x: Self::I32) -> Self::I32;
    /// Shifts zeros in.
    fn shr<const BITS: i32>(self, x: Self::I32) -> Self::I32;
    /// `table[i]` of every lane's `i` in `0..16`.
    fn lookup(self, table: &[f32; 16], i: Self::I32) -> Self::F32;

    /// `sum + a[0] b[0] + a[1] b[1]` of every lane's pairs of bf16, in f32.
    fn dot_bf16(self, sum: Self::F32, a: Self::I32, b: Self::I32) -> Self::F32;
    /// The sum of the lanes.
    fn sum_i32(self, x: Self::I32) -> i32;
    /// `sum` plus the products of every lane's four u8 in `a` and i8 in `b`: exact.
    fn dot_i8(self, sum: Self::I32, a: Self::I32, b: Self::I32) -> Self::I32;

    /// Writes the columns of a square of `LANES` rows, `stride` values apart at `from`, as rows
    /// `to_stride` values apart at `to`. Only `rows` rows are read, one at least: the last
    /// stands in for those that are missing.
    ///
    /// # Safety
    /// The rows are readable and the transpose of the square is writable.
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        stride: usize,
        rows: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        for row in 0..Self::LANES {
            for column in 0..Self::LANES {
                // SAFETY: the caller's promise.
                unsafe {
                    *to.add(column * to_stride + row) =
                        *from.add(row.min(rows - 1) * stride + column);
                }
            }
        }
    }

    /// The first values of `from`, zeros where there are fewer than `LANES`.
    #[inline(always)]
    fn load_head(self, from: &[f32]) -> Self::F32 {
        self.load_head_or(from, 0.0)
    }

    /// The first values of `from`, `fill` where there are fewer than `LANES`.
    #[inline(always)]
    fn load_head_or(self, from: &[f32], fill: f32) -> Self::F32 {
        if from.len() >= Self::LANES {
            // SAFETY: as many values are there.
            return unsafe { self.load(from.as_ptr()) };
        }
        let mut values = [fill; MAX_LANES];
        values[..from.len()].copy_from_slice(from);
        // SAFETY: no vector is longer than the array.
        unsafe { self.load(values.as_ptr()) }
    }

    /// Stores as many values as `to` takes.
    #[inline(always)]
    fn store_head(self, to: &mut [f32], x: Self::F32) {
        if to.len() >= Self::LANES {
            // SAFETY: as many values fit.
            return unsafe { self.store(to.as_mut_ptr(), x) };
        }
        let mut values = [0.0; MAX_LANES];
        // SAFETY: no vector is longer than the array.
        unsafe { self.store(values.as_mut_ptr(), x) };
        to.copy_from_slice(&values[..to.len()]);
    }
}

/// Values of the longest vector.
pub(in super::super) const MAX_LANES: usize = 16;

/// [`Simd::dot_bf16`] without an instruction for it: the halves of each word, widened.
#[inline(always)]
pub(super) fn dot_bf16_widened<S: Simd>(simd: S, sum: S::F32, a: S::I32, b: S::I32) -> S::F32 {
    let high = simd.splat_i32(0xffff_0000_u32 as i32);
    let [a0, b0] = [simd.as_f32(simd.shl::<16>(a)), simd.as_f32(simd.shl::<16>(b))];
    let [a1, b1] = [simd.as_f32(simd.and(a, high)), simd.as_f32(simd.and(b, high))];
    simd.mul_add(a1, b1, simd.mul_add(a0, b0, sum))
}
