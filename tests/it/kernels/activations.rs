//! The activations over all of f32, in units of their last place or of their argument.

use chunkflow::compute::{Activation, Buffers, CpuExec, Dense, Dtype, Epilogue, Isa};

use super::identity;
use crate::exec::{ACTIVATIONS, host};
use crate::support::naive;

/// Columns of the identity: few, as each costs a product, and more than a vector's.
const COLS: usize = 20;

/// The bounds that `math.rs` states.
fn bound(activation: Activation, x: f32, expected: f64) -> f64 {
    let of_argument = |factor: f64| factor * f64::from(x).abs() + f64::from(f32::from_bits(1));
    match activation {
        Activation::Gelu => of_argument(1.2e-7),
        Activation::GeluTanh | Activation::Silu => of_argument(2e-7),
        Activation::Relu => 0.0,
        Activation::Tanh => 2.0 * unit(expected),
    }
}

/// The unit in the last place of the f32 next to `x`.
fn unit(x: f64) -> f64 {
    let exponent = (x as f32).to_bits() >> 23 & 0xff;
    2_f64.powi(exponent.max(1) as i32 - 150)
}

/// Every magnitude's values in steps, and the stretch where the functions bend more densely.
fn sweep() -> Vec<f32> {
    let patterns = (0..0x7f80_0000_u32).step_by(4_093).map(f32::from_bits);
    let magnitudes = patterns.chain([1e-45, f32::MIN_POSITIVE, f32::MAX]);
    let bends = (0..240_000_u32).map(|step| step as f32 / 20_000.0 + 1e-6);
    let mut values: Vec<f32> = magnitudes.chain(bends).flat_map(|x| [x, -x]).collect();
    values.resize(values.len().next_multiple_of(COLS), 0.5);
    values
}

#[test]
fn errors_are_within_what_the_functions_state() {
    let values = sweep();
    let expected = ACTIVATIONS.map(|activation| {
        let function = naive::activation(activation);
        values.iter().map(|&x| function(f64::from(x))).collect::<Vec<f64>>()
    });
    for isa in Isa::available() {
        let exec = CpuExec::with(isa, Dtype::F32);
        let linear = identity(&exec, COLS);
        let input = exec.upload(&values, COLS).unwrap();
        for (activation, expected) in ACTIVATIONS.into_iter().zip(&expected) {
            let epilogue = Epilogue::Activate(activation);
            let output = host(&exec, exec.linear(&input, &linear, epilogue).unwrap(), COLS);
            for ((&x, &actual), &expected) in values.iter().zip(&output).zip(expected) {
                let difference = (f64::from(actual) - expected).abs();
                assert!(
                    difference <= bound(activation, x, expected),
                    "{isa}: {activation:?}({x:e}) is {actual:e}, not {expected:e}"
                );
            }
        }
    }
}
