//! Plain loops over eight lanes, for every processor: the oracle of the others.

use half::{bf16, f16};

use super::vector::{Simd, dot_bf16_widened};

const LANES: usize = 8;

/// Lanes as arrays, which the compiler maps to whatever vectors the target always has.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

type F = [f32; LANES];
type I = [i32; LANES];

#[inline(always)]
fn map<A: Copy, B: Copy, C>(a: [A; LANES], b: [B; LANES], f: impl Fn(A, B) -> C) -> [C; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Simd for Scalar {
    type F32 = F;
    type I32 = I;

    const LANES: usize = LANES;
    const TILE_ROWS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }

    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<F>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const u32) -> I {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<I>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: F) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<F>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, x: I) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(x.map(|x| x as u8)) }
    }

    #[inline(always)]
    unsafe fn store_u16(self, to: *mut u16, x: I) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(x.map(|x| x as u16)) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> F {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[f16; LANES]>().read_unaligned().map(f16::to_f32) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> F {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[bf16; LANES]>().read_unaligned().map(bf16::to_f32) }
    }

    #[inline(always)]
    fn prefetch(self, _: *const u32) {}

    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        map(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        map(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        map(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        map(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: F, b: F, c: F) -> F {
        // Not fused: without the instruction, that would be a call for each value.
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        map(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        map(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn recip(self, x: F) -> F {
        self.div(self.splat(1.0), x)
    }

    #[inline(always)]
    fn select_lt(self, a: F, b: F, yes: F, no: F) -> F {
        std::array::from_fn(|lane| if a[lane] < b[lane] { yes[lane] } else { no[lane] })
    }

    #[inline(always)]
    fn sum(self, x: F) -> f32 {
        x.iter().sum()
    }

    #[inline(always)]
    fn max_lane(self, x: F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, |max, x| if max > x { max } else { x })
    }

    #[inline(always)]
    fn at_least(self, x: F, least: F) -> u32 {
        let lanes = x.iter().zip(&least).enumerate();
        lanes.fold(0, |bits, (lane, (x, least))| bits | u32::from(x >= least) << lane)
    }

    #[inline(always)]
    unsafe fn repeat_quad(self, from: *const f32) -> F {
        // SAFETY: the caller's promise.
        let [a, b, c, d] = unsafe { from.cast::<[f32; 4]>().read_unaligned() };
        [a, b, c, d, a, b, c, d]
    }

    #[inline(always)]
    unsafe fn store_quad_sums(self, to: *mut f32, x: &[F; 4]) {
        for (index, quad) in x.as_flattened().as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(index) = (quad[0] + quad[2]) + (quad[1] + quad[3]) };
        }
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut f32, x: &[F; 8]) {
        for (index, x) in x.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(index) = self.sum(*x) };
        }
    }

    #[inline(always)]
    fn as_i32(self, x: F) -> I {
        x.map(|x| x.to_bits() as i32)
    }

    #[inline(always)]
    fn as_f32(self, x: I) -> F {
        x.map(|x| f32::from_bits(x as u32))
    }

    #[inline(always)]
    fn round(self, x: F) -> I {
        // Adding 1.5 * 2^23 leaves the integer in the low bits, rounded as the addition rounds.
        const MAGIC: f32 = 12_582_912.0;
        x.map(|x| {
            let shifted = x + MAGIC;
            if x.abs() < 4_194_304.0 { (shifted - MAGIC) as i32 } else { x as i32 }
        })
    }

    #[inline(always)]
    fn to_f32(self, x: I) -> F {
        x.map(|x| x as f32)
    }

    #[inline(always)]
    fn add_i32(self, a: I, b: I) -> I {
        map(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn and(self, a: I, b: I) -> I {
        map(a, b, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, a: I, b: I) -> I {
        map(a, b, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, a: I, b: I) -> I {
        map(a, b, |a, b| a ^ b)
    }

    #[inline(always)]
    fn sum_i32(self, x: I) -> i32 {
        x.iter().sum()
    }

    #[inline(always)]
    fn shl<const BITS: i32>(self, x: I) -> I {
        x.map(|x| x << BITS)
    }

    #[inline(always)]
    fn shr<const BITS: i32>(self, x: I) -> I {
        x.map(|x| (x as u32 >> BITS) as i32)
    }

    #[inline(always)]
    fn lookup(self, table: &[f32; 16], i: I) -> F {
        i.map(|i| table[i as usize & 15])
    }

    #[inline(always)]
    fn dot_bf16(self, sum: F, a: I, b: I) -> F {
        dot_bf16_widened(self, sum, a, b)
    }

    #[inline(always)]
    fn dot_i8(self, sum: I, a: I, b: I) -> I {
        // Shifts instead of bytes, which the compiler does not map to vectors.
        std::array::from_fn(|lane| {
            let (a, b) = (a[lane], b[lane]);
            let product = |byte: i32| (a >> (8 * byte) & 0xff) * (b << (24 - 8 * byte) >> 24);
            sum[lane] + product(0) + product(1) + product(2) + product(3)
        })
    }
}
