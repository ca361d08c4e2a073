//! Vector functions, written once for every instruction set.
//!
//! Errors are against f64 over all of f32's range, and tests hold them with every instruction set.
//! `exp` and `tanh` state them in units of the result's last place; the others, whose results far
//! below 0 vanish beside `x`, as a part of `|x|`, and half the least subnormal where that is more.
//! NaN stays NaN.

use std::sync::LazyLock;

use super::super::linear::Activation;
use super::simd::Simd;

/// `e^x` within 2 ULP; 0 below -87.33, where results are next to subnormal, and at most `e^88.37`,
/// of infinity too.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const LOWEST: f32 = -87.33;
    let constant = |x: f32| simd.splat(x);
    let clamped = simd.min(constant(88.37), simd.max(constant(LOWEST), x));
    let exponent = simd.round(simd.mul(clamped, constant(std::f32::consts::LOG2_E)));
    let n = simd.to_f32(exponent);
    // ln 2 in two parts, the first with so few digits that n times it is exact.
    let r = simd.mul_add(n, constant(-0.693_359_4), clamped);
    let r = simd.mul_add(n, constant(2.121_944_4e-4), r);
    let mut sum = constant(1.987_569_2e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        sum = simd.mul_add(sum, r, constant(coefficient));
    }
    let e_to_r = simd.add(simd.mul_add(simd.mul(r, r), sum, r), constant(1.0));
    let power = simd.shl::<23>(simd.add_i32(exponent, simd.splat_i32(127)));
    let result = simd.mul(e_to_r, simd.as_f32(power));
    simd.select_lt(x, constant(LOWEST), constant(0.0), result)
}

/// `2^x` for `x <= 0`, up to rounding, within `2e-7` of 1; 0 below -126. Cheaper than [`exp`], for weights whose
/// largest is 1.
#[inline(always)]
pub(super) fn exp2_weight<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const LOWEST: f32 = -126.0;
    let clamped = simd.max(simd.splat(LOWEST), x);
    let exponent = simd.round(clamped);
    let t = simd.sub(clamped, simd.to_f32(exponent));
    // The least largest error on [-1/2, 1/2], by Remez's exchange: 1.9e-9 with exact arithmetic.
    let mut sum = simd.splat(1.534_581_2e-4);
    let linear = std::f32::consts::LN_2;
    for coefficient in [1.339_993_1e-3, 9.618_489e-3, 5.550_329e-2, 0.240_226_47, linear, 1.0] {
        sum = simd.mul_add(sum, t, simd.splat(coefficient));
    }
    let scaled = simd.add_i32(simd.as_i32(sum), simd.shl::<23>(exponent));
    simd.select_lt(x, simd.splat(LOWEST), simd.splat(0.0), simd.as_f32(scaled))
}

/// The nonlinearity of every lane.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, activation: Activation, x: S::F32) -> S::F32 {
    match activation {
        Activation::Gelu => gelu(simd, &NORMAL, x),
        Activation::GeluTanh => gelu_tanh(simd, x),
        Activation::Relu => simd.max(simd.splat(0.0), x),
        Activation::Silu => silu(simd, x),
        Activation::Tanh => tanh(simd, x),
    }
}

/// The nonlinearity of two vectors in each of `rows` rows, `stride` values apart at `first`.
///
/// # Safety
/// The rows are readable and writable.
#[inline(always)]
pub(super) unsafe fn activate_rows<S: Simd>(
    simd: S,
    activation: Activation,
    first: *mut f32,
    stride: usize,
    rows: usize,
) {
    // Not a function of a closure, which would not be compiled with the instruction set.
    macro_rules! map {
        ($x:ident => $value:expr) => {
            for row in 0..rows {
                for vector in 0..2 {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let at = first.add(row * stride + vector * S::LANES);
                        let $x = simd.load(at);
                        simd.store(at, $value);
                    }
                }
            }
        };
    }
    match activation {
        Activation::Gelu => {
            // Out of the loop, as it looks whether the table is there.
            let normal = &*NORMAL;
            map!(x => gelu(simd, normal, x));
        }
        activation => map!(x => activate(simd, activation, x)),
    }
}

/// `x * Phi(x)`, within `1.2e-7 * |x|`.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, normal: &Normal, x: S::F32) -> S::F32 {
    let sign = simd.and(simd.as_i32(x), simd.splat_i32(i32::MIN));
    let magnitude = simd.as_f32(simd.and(simd.as_i32(x), simd.splat_i32(i32::MAX)));
    let (scale, half) = (simd.splat(Normal::PIECES_PER_UNIT), simd.splat(-0.5));
    let place = simd.mul_add(magnitude, scale, half);
    let place = simd.min(simd.splat(Normal::LAST_PLACE), place);
    let piece = simd.round(place);
    let t = simd.sub(place, simd.to_f32(piece));
    let [highest, rest @ ..] = &normal.coefficients;
    let mut sum = simd.lookup(highest, piece);
    for coefficients in rest {
        sum = simd.mul_add(sum, t, simd.lookup(coefficients, piece));
    }
    let signed = simd.as_f32(simd.or(simd.as_i32(sum), sign));
    simd.mul(x, simd.add(signed, simd.splat(0.5)))
}

/// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`, within `2e-7 * |x|`.
#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // (1 + tanh u) / 2 is 1 / (1 + e^(-2u)).
    let factor = -2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let cubic = simd.mul_add(simd.mul(x, x), simd.splat(0.044_715 * factor), simd.splat(factor));
    let e = exp(simd, simd.mul(x, cubic));
    simd.mul(x, simd.recip(simd.add(simd.splat(1.0), e)))
}

/// `x / (1 + e^-x)`, within `2e-7 * |x|`.
#[inline(always)]
fn silu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let e = exp(simd, simd.sub(simd.splat(0.0), x));
    simd.mul(x, simd.recip(simd.add(simd.splat(1.0), e)))
}

/// Hyperbolic tangent within 2 ULP.
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let sign = simd.and(simd.as_i32(x), simd.splat_i32(i32::MIN));
    let magnitude = simd.as_f32(simd.and(simd.as_i32(x), simd.splat_i32(i32::MAX)));
    let e = exp(simd, simd.add(magnitude, magnitude));
    let quotient = simd.div(simd.splat(-2.0), simd.add(e, simd.splat(1.0)));
    let large = simd.as_f32(simd.or(simd.as_i32(simd.add(quotient, simd.splat(1.0))), sign));
    let square = simd.mul(x, x);
    let mut sum = simd.splat(-5.704_988_7e-3);
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8] {
        sum = simd.mul_add(sum, square, simd.splat(coefficient));
    }
    let small = simd.mul_add(simd.mul(sum, square), x, x);
    simd.select_lt(magnitude, simd.splat(0.625), small, large)
}

/// `Phi(x) - 1/2` of the normal distribution for `0 <= x < 5.6`, beyond which it is 1/2 in f32:
/// sixteen pieces of polynomials of degree five, as a vector looks sixteen values up at once.
pub(super) struct Normal {
    /// `[degree 5 down to 0][piece]`, in `t` from -1/2 to 1/2 across a piece.
    coefficients: [[f32; PIECES]; 6],
}

/// As many as a vector looks up at once.
const PIECES: usize = 16;

static NORMAL: LazyLock<Normal> = LazyLock::new(Normal::new);

impl Normal {
    const PIECES_PER_UNIT: f32 = 16.0 / 5.6;
    const LAST_PLACE: f32 = 15.499_999;

    /// Interpolates at Chebyshev's nodes, which comes within 2e-8.
    fn new() -> Self {
        let polynomials: [[f64; 6]; PIECES] = std::array::from_fn(|piece| {
            let nodes: [f64; 6] = std::array::from_fn(|i| {
                0.5 * ((2 * i + 1) as f64 * std::f64::consts::PI / 12.0).cos()
            });
            let value =
                |t: f64| half_normal((piece as f64 + 0.5 + t) / f64::from(Self::PIECES_PER_UNIT));
            interpolate(nodes, nodes.map(value))
        });
        let coefficient = |degree: usize, piece: usize| polynomials[piece][degree] as f32;
        let coefficients =
            std::array::from_fn(|place| std::array::from_fn(|piece| coefficient(5 - place, piece)));
        Self { coefficients }
    }
}

/// `Phi(x) - 1/2` for `x >= 0`, by the series of positive terms `x^(2n+1) / (1 * 3 * .. (2n+1))`.
fn half_normal(x: f64) -> f64 {
    let (mut term, mut sum) = (x, 0.0);
    let mut odd = 1.0;
    while term > sum * f64::EPSILON {
        sum += term;
        odd += 2.0;
        term *= x * x / odd;
    }
    sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Coefficients, constant first, of the polynomial through six points, after Newton.
fn interpolate(nodes: [f64; 6], mut differences: [f64; 6]) -> [f64; 6] {
    for order in 1..6 {
        for i in (order..6).rev() {
            differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - order]);
        }
    }
    let mut polynomial = [0.0; 6];
    for i in (0..6).rev() {
        // polynomial * (t - node) + difference
        for degree in (1..6).rev() {
            polynomial[degree] = polynomial[degree - 1] - nodes[i] * polynomial[degree];
        }
        polynomial[0] = differences[i] - nodes[i] * polynomial[0];
    }
    polynomial
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, Op, Simd};
    use super::exp;

    /// `exp` of every value in place.
    struct Exp<'a>(&'a mut [f32]);

    impl Op for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            for x in self.0.chunks_mut(S::LANES) {
                simd.store_head(x, exp(simd, simd.load_head(x)));
            }
        }
    }

    fn exp_of(isa: Isa, values: &[f32]) -> Vec<f32> {
        let mut values = values.to_vec();
        isa.run(Exp(&mut values));
        values
    }

    /// Units in the last place between a result and the true, normal value.
    fn ulps(actual: f32, expected: f64) -> f64 {
        let exponent = ((expected as f32).to_bits() >> 23) as i32;
        (f64::from(actual) - expected).abs() / 2_f64.powi(exponent - 150)
    }

    #[test]
    fn exp_is_within_two_ulp_where_it_is_normal() {
        let magnitudes = (0..88.37_f32.to_bits()).step_by(1_021).map(f32::from_bits);
        let dense = (0..700_000_u32).map(|step| step as f32 / 8_000.0);
        let values = magnitudes.chain(dense).flat_map(|x| [x, -x]);
        let values: Vec<f32> = values.filter(|x| (-87.33..=88.37).contains(x)).collect();
        for isa in Isa::available() {
            for (&x, actual) in values.iter().zip(exp_of(isa, &values)) {
                let error = ulps(actual, f64::from(x).exp());
                assert!(error <= 2.0, "{isa}: exp({x:e}) is {actual:e}, {error:.2} ULP away");
            }
        }
    }

    #[test]
    fn exp_ends_at_zero_and_below_infinity_and_keeps_nan() {
        for isa in Isa::available() {
            let values =
                exp_of(isa, &[f32::NEG_INFINITY, f32::MIN, -87.34, 88.38, f32::INFINITY, f32::NAN]);
            assert_eq!(values[..3], [0.0; 3], "{isa}");
            let greatest = 88.37_f64.exp();
            for &x in &values[3..5] {
                assert!((f64::from(x) / greatest - 1.0).abs() < 1e-5, "{isa}: {x:e}");
            }
            assert!(values[5].is_nan(), "{isa}");
        }
    }

    struct Reciprocal<'a>(&'a mut [f32]);

    impl Op for Reciprocal<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            for x in self.0.chunks_mut(S::LANES) {
                simd.store_head(x, simd.recip(simd.load_head(x)));
            }
        }
    }

    #[test]
    fn reciprocals_are_within_two_ulp_where_they_are_normal() {
        // From the least normal value to that whose reciprocal is.
        let patterns = (f32::MIN_POSITIVE.to_bits()..=0x7e80_0000).step_by(1_021);
        let values: Vec<f32> = patterns.map(f32::from_bits).collect();
        for isa in Isa::available() {
            let mut results = values.clone();
            isa.run(Reciprocal(&mut results));
            for (&x, actual) in values.iter().zip(results) {
                let error = ulps(actual, 1.0 / f64::from(x));
                assert!(error <= 2.0, "{isa}: 1 / {x:e} is {actual:e}, {error:.2} ULP away");
            }
        }
    }
}
