//! Dense layers over odd sizes: one, and one that reads another's activations.

use chunkflow::compute::{Activation, Buffers, CpuExec, Dense, Dtype, Epilogue, Isa};
use half::bf16;
use proptest::prelude::*;

use super::{Buffer, DTYPES, ROUNDING, held, is_narrow, is_refused, kernels, load};
use crate::exec::{ACTIVATIONS, host, random, spoil};
use crate::support::{bits, naive};

/// An expected value, and how far f32 may be from it.
#[derive(Debug, Clone, Copy)]
struct Expected {
    value: f64,
    error: f64,
}

/// Sums in f32 come within this of the sum of the terms' magnitudes. Rounding partial sums of terms
/// of either sign costs less than one unit on average, whatever their number.
const SUM_ERROR: f64 = 6.0 * ROUNDING;
/// Of the activations, relative to their argument; `activations.rs` holds them closer.
const ACTIVATION_ERROR: f64 = 4e-7;
/// No activation is steeper.
const STEEPEST: f64 = 1.13;

/// A dense layer and what it reads.
#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    cols: usize,
    out: usize,
    has_bias: bool,
    epilogue: Epilogue,
    seed: u64,
}

impl Case {
    fn input(&self) -> Vec<f32> {
        random(self.seed, self.rows * self.cols, 2.0)
    }

    fn weight(&self) -> Vec<f32> {
        random(self.seed + 1, self.out * self.cols, (3.0 / self.cols as f32).sqrt())
    }

    fn bias(&self) -> Option<Vec<f32>> {
        self.has_bias.then(|| random(self.seed + 2, self.out, 1.0))
    }

    fn columns(&self) -> usize {
        if matches!(self.epilogue, Epilogue::Gate(_)) { self.out / 2 } else { self.out }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let cols = prop_oneof![10 => 1_usize..70, 1 => Just(384), 1 => Just(1_537)];
    let epilogue = prop_oneof![
        1 => Just(Epilogue::None),
        1 => prop::sample::select(&ACTIVATIONS[..]).prop_map(Epilogue::Activate),
        1 => prop::sample::select(&ACTIVATIONS[..]).prop_map(Epilogue::Gate),
    ];
    let sizes = (1_usize..40, cols, 1_usize..110);
    (sizes, any::<bool>(), epilogue, 0_u64..1 << 40).prop_map(
        |((rows, cols, out), has_bias, epilogue, seed)| {
            let is_gate = matches!(epilogue, Epilogue::Gate(_));
            let out = if is_gate { out.next_multiple_of(2) } else { out };
            Case { rows, cols, out, has_bias, epilogue, seed }
        },
    )
}

/// The values as bf16 has them.
fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect()
}

/// `input x weight^T + bias` of what a form multiplies.
fn product(
    (isa, dtype): (Isa, Dtype),
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    cols: usize,
) -> Vec<Expected> {
    let (input, weight) = match dtype {
        Dtype::F32 | Dtype::F16 => (input.to_vec(), weight.to_vec()),
        Dtype::Bf16 if isa.has_bf16_products() => (rounded(input), rounded(weight)),
        Dtype::Bf16 => (input.to_vec(), rounded(weight)),
        Dtype::Int8 => return product_i8(input, weight, bias, cols),
    };
    let magnitudes = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x.abs()).collect() };
    let values = naive::linear(&input, &weight, bias, cols);
    let bias = bias.map(magnitudes);
    let sizes = naive::linear(&magnitudes(&input), &magnitudes(&weight), bias.as_deref(), cols);
    let expected = values.into_iter().zip(sizes);
    expected.map(|(value, size)| Expected { value, error: SUM_ERROR * size }).collect()
}

/// The sum of bytes is exact, so that only the scaling rounds: to f32, twice for the scale, the
/// product and its sum with the bias.
fn product_i8(input: &[f32], weight: &[f32], bias: Option<&[f32]>, cols: usize) -> Vec<Expected> {
    let columns: Vec<_> = weight.chunks_exact(cols).map(naive::quantise).collect();
    let rows = input.chunks_exact(cols).map(naive::quantise);
    rows.flat_map(|row| {
        let outputs = columns.iter().enumerate().map(|(index, column)| {
            let (sum, bias) =
                (naive::dot_i8(&row, column), bias.map_or(0.0, |bias| f64::from(bias[index])));
            Expected { value: sum + bias, error: 6.0 * ROUNDING * (sum.abs() + bias.abs()) }
        });
        outputs.collect::<Vec<_>>()
    })
    .collect()
}

fn activated(activation: Activation, x: Expected) -> Expected {
    let value = naive::activation(activation)(x.value);
    let own = ACTIVATION_ERROR * x.value.abs();
    Expected { value, error: STEEPEST * x.error + own }
}

/// The epilogue of rows of `columns`.
fn apply(epilogue: Epilogue, values: &[Expected], columns: usize) -> Vec<Expected> {
    match epilogue {
        Epilogue::None => values.to_vec(),
        Epilogue::Activate(activation) => {
            values.iter().map(|&x| activated(activation, x)).collect()
        }
        Epilogue::Gate(activation) => values
            .chunks_exact(columns)
            .flat_map(|row| {
                let (gate, up) = row.split_at(columns / 2);
                gate.iter().zip(up).map(|(&x, up)| {
                    let x = activated(activation, x);
                    let value = x.value * up.value;
                    let error = x.error * up.value.abs() + (x.value.abs() + x.error) * up.error;
                    Expected { value, error: error + ROUNDING * value.abs() }
                })
            })
            .collect(),
    }
}

#[track_caller]
fn check(what: &str, actual: &[f32], expected: &[Expected]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (&x, expected)) in actual.iter().zip(expected).enumerate() {
        let Expected { value, error } = *expected;
        let difference = (f64::from(x) - value).abs();
        assert!(difference <= error, "{what}, value {index}: {x:e} is not {value:e} +- {error:e}");
    }
}

/// Widens `expected` by what holding it in a row of `cols` costs.
fn narrowed(dtype: Dtype, expected: &[Expected], cols: usize) -> Vec<Expected> {
    let rows = expected.chunks_exact(cols).flat_map(|row| {
        let largest = row.iter().map(|x| x.value.abs() + x.error).fold(0.0, f64::max);
        row.iter().map(move |&Expected { value, error }| {
            let half_step = match dtype {
                Dtype::F32 | Dtype::F16 => 0.0,
                // Eight digits: half a unit of the last is a 256th of the first.
                Dtype::Bf16 => (value.abs() + error) / 256.0,
                Dtype::Int8 => largest / 254.0 * (1.0 + 1e-5),
            };
            Expected { value, error: error + half_step }
        })
    });
    rows.collect()
}

/// Values held in int8, back from their identity, as exact multiples of the row's scale; the
/// largest is 127 of them.
fn requantised(values: &[f32], cols: usize) -> Vec<naive::Quantised> {
    let row = |row: &[f32]| {
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let scale = f64::from(largest) / 127.0;
        let level = |x: &f32| (f64::from(*x) / scale.max(f64::MIN_POSITIVE)).round() as i64;
        naive::Quantised { levels: row.iter().map(level).collect(), scale }
    };
    values.chunks_exact(cols).map(row).collect()
}

/// A layer that reads activations as another left them.
fn check_next(what: &str, exec: &CpuExec, form: (Isa, Dtype), activations: &Buffer, case: &Case) {
    let (cols, out) = (case.columns(), 19);
    let held = held(exec, activations, cols);
    let (weight, bias) = (random(case.seed + 3, out * cols, 1.0), random(case.seed + 4, out, 1.0));
    let next = load(exec, &weight, Some(&bias), cols);
    let output = host(exec, exec.linear(activations, &next, Epilogue::None).unwrap(), out);
    let expected = if form.1 == Dtype::Int8 {
        let columns: Vec<_> = weight.chunks_exact(cols).map(naive::quantise).collect();
        let rows = requantised(&held, cols);
        let sums = rows.iter().flat_map(|row| {
            columns.iter().zip(&bias).map(|(column, &bias)| {
                let (sum, bias) = (naive::dot_i8(row, column), f64::from(bias));
                Expected { value: sum + bias, error: 10.0 * ROUNDING * (sum.abs() + bias.abs()) }
            })
        });
        sums.collect()
    } else {
        product(form, &held, &weight, Some(&bias), cols)
    };
    check(&format!("{what}, next layer"), &output, &expected);
}

/// What one form gives: its values as held, which match the oracle.
fn check_case(form: (Isa, Dtype), case: &Case) -> (Vec<f32>, Vec<Expected>) {
    let (isa, dtype) = form;
    let what = format!("{isa} {dtype} {case:?}");
    let exec = CpuExec::with(isa, dtype);
    let (input, weight, bias) = (case.input(), case.weight(), case.bias());
    let whole = product(form, &input, &weight, bias.as_deref(), case.cols);
    let expected = apply(case.epilogue, &whole, case.out);
    let linear = load(&exec, &weight, bias.as_deref(), case.cols);
    let input = exec.upload(&input, case.cols).unwrap();
    let run = || exec.linear(&input, &linear, case.epilogue).unwrap();
    if case.epilogue == Epilogue::None || !is_narrow(isa, dtype) {
        let values = host(&exec, run(), case.columns());
        check(&what, &values, &expected);
        return (values, expected);
    }
    assert!(is_refused(&exec, run()), "{what}");
    let output = run();
    let expected = narrowed(dtype, &expected, case.columns());
    let values = held(&exec, &output, case.columns());
    check(&what, &values, &expected);
    check_next(&what, &exec, form, &output, case);
    (values, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn products_are_those_of_the_oracle_and_of_the_scalar_kernel(case in cases()) {
        for dtype in DTYPES {
            let mut isas = Isa::available();
            let scalar = isas.next().unwrap();
            let (first, _) = check_case((scalar, dtype), &case);
            for isa in isas {
                let (values, expected) = check_case((isa, dtype), &case);
                if is_narrow(scalar, dtype) != is_narrow(isa, dtype) {
                    // Only one of the two rounds what it reads.
                    continue;
                }
                let pairs = values.iter().zip(&first).zip(expected);
                for ((&value, &first), Expected { error, .. }) in pairs {
                    let difference = (f64::from(value) - f64::from(first)).abs();
                    prop_assert!(difference <= 2.0 * error, "{isa} {dtype}: {value} and {first}");
                }
            }
        }
    }

    /// Sums of bytes are integers, scales are quotients, and without a bias nothing is left to
    /// round otherwise.
    #[test]
    fn int8_has_the_same_bits_on_every_instruction_set(case in cases()) {
        let relu = match case.epilogue {
            Epilogue::None => Epilogue::None,
            Epilogue::Activate(_) => Epilogue::Activate(Activation::Relu),
            Epilogue::Gate(_) => Epilogue::Gate(Activation::Relu),
        };
        let case = Case { epilogue: relu, has_bias: false, ..case };
        let (input, weight) = (case.input(), case.weight());
        let run = |isa| {
            let exec = CpuExec::with(isa, Dtype::Int8);
            let linear = load(&exec, &weight, None, case.cols);
            let input = exec.upload(&input, case.cols).unwrap();
            let output = exec.linear(&input, &linear, case.epilogue).unwrap();
            held(&exec, &output, case.columns())
        };
        let mut isas = Isa::available();
        let scalar = run(isas.next().unwrap());
        for isa in isas {
            prop_assert_eq!(bits(&run(isa)), bits(&scalar), "{}", isa);
        }
    }
}

/// Rows and weights at the ends of their range: no sum of bytes saturates or wraps.
#[test]
fn sums_of_the_largest_bytes_are_exact() {
    let (cols, out) = (8_191, 3);
    let row = |sign: f32| vec![sign * 2.0; cols];
    let input = [row(1.0), row(-1.0)].concat();
    let weight = [vec![3.0; cols], vec![-3.0; cols], vec![0.0; cols]].concat();
    let expected = product_i8(&input, &weight, None, cols);
    for isa in Isa::available() {
        let exec = CpuExec::with(isa, Dtype::Int8);
        let linear = load(&exec, &weight, None, cols);
        let input = exec.upload(&input, cols).unwrap();
        let output = host(&exec, exec.linear(&input, &linear, Epilogue::None).unwrap(), out);
        check(&isa.to_string(), &output, &expected);
    }
}

/// Rows of zeros and of values next to the least have no quotient of 127; their product is next to
/// nothing, and the bias is left.
#[test]
fn rows_without_magnitude_leave_the_bias() {
    let (cols, out) = (21, 18);
    let rows = [0.0, -0.0, 1e-45, -1e-40, 1e-38].map(|x| vec![x; cols]).concat();
    let (weight, bias) = (random(1, out * cols, 1.0), random(2, out, 1.0));
    for (isa, dtype) in kernels() {
        let exec = CpuExec::with(isa, dtype);
        spoil(&exec);
        let linear = load(&exec, &weight, Some(&bias), cols);
        let input = exec.upload(&rows, cols).unwrap();
        let output = host(&exec, exec.linear(&input, &linear, Epilogue::None).unwrap(), out);
        for row in output.chunks_exact(out) {
            let same = row.iter().zip(&bias).all(|(x, y)| (x - y).abs() < 1e-35);
            assert!(same, "{isa} {dtype}: {row:?}");
        }
    }
}
