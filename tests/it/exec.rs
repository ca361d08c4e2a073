//! Every operation of [`Exec`], for every form through one body, against loops in f64.
//!
//! Sizes are mostly no multiples of a vector's lanes or a block's rows. Tolerances are relative to
//! the largest value of the expected result, unless a test says otherwise.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chunkflow::compute::{
    Activation, Attention, Buffers, CpuExec, Dense, DenseWeights, Dtype, Epilogue, Error, Exec,
    Isa, Mask, NormKind, NormWeights, Norms, Pooling, Precision, Projection, Span, TableWeights,
    Tokens, WeightedRuns,
};

use crate::support::naive;
use crate::support::random_model::SplitMix64;
use crate::support::{bits, max_difference, max_value, widen};

/// One test for each operation and form, the fast one with every instruction set.
macro_rules! on_every_form {
    ($($operation:ident),+ $(,)?) => {
        mod cpu {
            $(#[test] fn $operation() { crate::exec::on_every_isa(super::$operation); })+
        }
        mod candle {
            $(#[test] fn $operation() {
                let device = candle_core::Device::Cpu;
                super::$operation(&chunkflow::compute::CandleExec::new(device));
            })+
        }
        #[cfg(feature = "cuda")]
        mod cuda {
            $(#[test] fn $operation() {
                let _turn = crate::cuda::turn();
                super::$operation(&crate::cuda::exec(chunkflow::compute::Dtype::F32));
            })+
        }
    };
}
pub(crate) use on_every_form;

/// Runs `test` in f32 with every instruction set that this processor has, and names the one that
/// fails.
pub(crate) fn on_every_isa(test: impl Fn(&CpuExec)) {
    for isa in Isa::available() {
        let exec = CpuExec::with(isa, Dtype::F32);
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| test(&exec))) {
            let message = cause.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| cause.downcast_ref::<&str>().copied());
            panic!("with {isa}: {}", message.unwrap_or("no message"));
        }
    }
}

on_every_form!(
    linear_is_the_product_plus_bias_through_the_epilogue,
    activations_are_their_formulas,
    embed_norm_sums_the_tables_and_normalises,
    norms_keep_their_digits_far_from_zero,
    attention_is_softmax_over_the_visible_keys,
    attention_stands_large_scores,
    residual_norm_is_the_norm_of_the_sum,
    pool_reads_each_span,
    sum_runs_weighs_adds_and_divides,
    finish_gram_is_the_band_of_what_is_finished,
    finish_cuts_and_then_normalises,
    finish_brings_rows_as_wide_as_a_vocabulary,
    indices_outside_their_table_are_named,
    tables_of_broken_rows_are_refused,
    weights_that_do_not_fit_are_refused,
    inputs_that_do_not_fit_are_refused,
    spans_outside_their_sequence_are_refused,
    dimensions_beyond_the_columns_are_refused,
);

pub(crate) const ACTIVATIONS: [Activation; 5] =
    [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu, Activation::Tanh];

pub(crate) fn random(seed: u64, len: usize, scale: f32) -> Vec<f32> {
    SplitMix64::new(seed).values(len, scale)
}

/// Leaves NaN in memory that a form may reuse: it shows wherever an operation reads what it has
/// not written.
pub(crate) fn spoil<E: Exec>(exec: &E) {
    let stale = vec![f32::NAN; 1 << 18];
    let buffers: Vec<E::Buffer> = (0..8).map(|_| exec.upload(&stale, 64).unwrap()).collect();
    drop(buffers);
}

/// All values of a buffer of `cols` columns.
pub(crate) fn host<E: Exec>(exec: &E, buffer: E::Buffer, cols: usize) -> Vec<f32> {
    exec.finish(buffer, Projection { dims: cols, normalize: false }).unwrap()
}

#[track_caller]
pub(crate) fn check(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    let difference = max_difference(actual, expected);
    let relative = difference / max_value(expected).max(f64::MIN_POSITIVE);
    assert!(relative <= tolerance, "{what}: {relative:e} of the largest value");
}

/// The epilogue of rows of `columns`.
fn apply(epilogue: Epilogue, values: Vec<f64>, columns: usize) -> Vec<f64> {
    match epilogue {
        Epilogue::None => values,
        Epilogue::Activate(activation) => {
            values.into_iter().map(naive::activation(activation)).collect()
        }
        Epilogue::Gate(activation) => values
            .chunks_exact(columns)
            .flat_map(|row| {
                let (gate, up) = row.split_at(columns / 2);
                gate.iter().zip(up).map(|(&x, up)| naive::activation(activation)(x) * up)
            })
            .collect(),
    }
}

/// Dense layers of these outputs side by side, each with a bias or none.
fn check_linear<E: Exec>(exec: &E, rows: usize, cols: usize, parts: &[(usize, bool)]) {
    spoil(exec);
    let input = random(1, rows * cols, 1.0);
    let scale = (3.0 / cols as f32).sqrt();
    let tensors: Vec<(Vec<f32>, Option<Vec<f32>>)> = (2..)
        .zip(parts)
        .map(|(seed, &(out, bias))| {
            (random(seed, out * cols, scale), bias.then(|| random(100 + seed, out, 1.0)))
        })
        .collect();
    let weights: Vec<DenseWeights<'_>> = tensors
        .iter()
        .map(|(weight, bias)| DenseWeights { weight, bias: bias.as_deref(), in_features: cols })
        .collect();
    let outputs = parts.iter().map(|part| part.0).sum();
    let each: Vec<Vec<f64>> = tensors
        .iter()
        .map(|(weight, bias)| naive::linear(&input, weight, bias.as_deref(), cols))
        .collect();
    let side_by_side = (0..rows).flat_map(|row| {
        each.iter().zip(parts).flat_map(move |(values, &(out, _))| &values[row * out..][..out])
    });
    let side_by_side: Vec<f64> = side_by_side.copied().collect();

    let linear = exec.load_linear(&weights, Precision::Working).unwrap();
    let input = exec.upload(&input, cols).unwrap();
    let activate = ACTIVATIONS.map(Epilogue::Activate);
    let gate = ACTIVATIONS.map(Epilogue::Gate);
    for epilogue in [&[Epilogue::None], &activate[..], &gate[..]].concat() {
        let what = format!("{rows} x {cols} to {parts:?} {epilogue:?}");
        let is_gate = matches!(epilogue, Epilogue::Gate(_));
        if is_gate && outputs % 2 == 1 {
            assert!(exec.linear(&input, &linear, epilogue).is_err(), "{what}");
            continue;
        }
        let columns = if is_gate { outputs / 2 } else { outputs };
        let output = host(exec, exec.linear(&input, &linear, epilogue).unwrap(), columns);
        check(&what, &output, &apply(epilogue, side_by_side.clone(), outputs), 2e-6);
    }
}

fn linear_is_the_product_plus_bias_through_the_epilogue<E: Exec>(exec: &E) {
    check_linear(exec, 1, 1, &[(1, true)]);
    check_linear(exec, 1, 33, &[(5, true), (17, true), (1, true)]);
    check_linear(exec, 2, 384, &[(384, true), (384, true), (384, true)]);
    check_linear(exec, 3, 7, &[(13, false)]);
    check_linear(exec, 63, 40, &[(9, false), (4, true), (31, false)]);
    check_linear(exec, 64, 96, &[(50, true)]);
    check_linear(exec, 65, 1_537, &[(35, true)]);
    check_linear(exec, 130, 385, &[(257, false), (2, true)]);
}

fn activations_are_their_formulas<E: Exec>(exec: &E) {
    // The identity as weights leaves nothing to the product, so that the tolerance, which is
    // absolute up to 1 and relative above, is that of the function alone.
    let cols = 37;
    let identity: Vec<f32> =
        (0..cols * cols).map(|i| if i / cols == i % cols { 1.0 } else { 0.0 }).collect();
    let weights = DenseWeights { weight: &identity, bias: None, in_features: cols };
    let linear = exec.load_linear(&[weights], Precision::Working).unwrap();
    let steps = (-12_000_i16..=12_000).map(|step| f32::from(step) / 1_000.0);
    let extremes = [-0.0, 1e-30, -1e-30, 1e-7, 30.0, -30.0, 1e4, -1e4, 1e30, -1e30];
    let mut values: Vec<f32> = steps.chain(extremes).collect();
    values.resize(values.len().next_multiple_of(cols), 0.5);
    let input = exec.upload(&values, cols).unwrap();
    for epilogue in ACTIVATIONS.map(Epilogue::Activate) {
        let output = host(exec, exec.linear(&input, &linear, epilogue).unwrap(), cols);
        let expected = apply(epilogue, widen(&values), cols);
        for ((&actual, expected), value) in output.iter().zip(expected).zip(&values) {
            let difference = (f64::from(actual) - expected).abs();
            // A NaN is not below the limit either.
            assert!(
                difference <= 1e-6 * expected.abs().max(1.0),
                "{epilogue:?}({value:e}) is {actual:e}, not {expected:e}"
            );
        }
    }
}

pub(crate) const EPS: f32 = 1e-12;

/// A norm's weights, around 1 and 0.
pub(crate) fn norm_weights(seed: u64, cols: usize) -> (Vec<f32>, Vec<f32>) {
    let weight = random(seed, cols, 0.5).iter().map(|x| 1.0 + x).collect();
    (weight, random(seed + 1, cols, 0.5))
}

fn load_norm<E: Exec>(exec: &E, weight: &[f32], bias: &[f32]) -> E::Norm {
    let weights = NormWeights { kind: NormKind::Layer, weight, bias: Some(bias), eps: EPS };
    exec.load_norm(weights).unwrap()
}

fn check_embed_norm<E: Exec>(exec: &E, tokens: usize, hidden: usize, position: bool, types: bool) {
    spoil(exec);
    let (word, at, kind) =
        (random(1, 50 * hidden, 1.0), random(2, 20 * hidden, 1.0), random(3, 2 * hidden, 1.0));
    let tables = exec.load_tables(TableWeights {
        hidden,
        word: &word,
        position: position.then_some(&at[..]),
        token_type: types.then_some(&kind[..]),
    });
    let (weight, bias) = norm_weights(4, hidden);
    let mut random = SplitMix64::new(5);
    let mut indices = |limit: usize| -> Vec<u32> {
        // The last entry of each table is read too.
        (0..tokens).map(|i| if i == 0 { limit - 1 } else { random.below(limit) } as u32).collect()
    };
    let (ids, positions, type_ids) = (indices(50), indices(20), indices(2));
    let row = |table: &[f32], index: u32| widen(&table[index as usize * hidden..][..hidden]);
    let expected: Vec<f64> = (0..tokens)
        .flat_map(|token| {
            let mut sum = row(&word, ids[token]);
            let mut add = |other: Vec<f64>| sum.iter_mut().zip(other).for_each(|(x, y)| *x += y);
            if position {
                add(row(&at, positions[token]));
            }
            if types {
                add(row(&kind, type_ids[token]));
            }
            naive::layer_norm(&sum, &weight, &bias, EPS)
        })
        .collect();
    let norm = load_norm(exec, &weight, &bias);
    let tokens = Tokens { ids: &ids, type_ids: &type_ids, positions: &positions };
    let output = exec.embed_norm(&tables.unwrap(), Some(&norm), tokens).unwrap();
    let what = format!("{hidden} columns, position {position}, types {types}");
    check(&what, &host(exec, output, hidden), &expected, 1e-6);
}

fn embed_norm_sums_the_tables_and_normalises<E: Exec>(exec: &E) {
    check_embed_norm(exec, 1, 7, true, true);
    check_embed_norm(exec, 5, 33, true, false);
    check_embed_norm(exec, 64, 32, false, true);
    check_embed_norm(exec, 65, 100, false, false);
    check_embed_norm(exec, 201, 384, true, true);
}

fn check_residual_norm<E: Exec>(exec: &E, x: &[f32], residual: &[f32], cols: usize, limit: f64) {
    spoil(exec);
    let (weight, bias) = norm_weights(6, cols);
    let sums: Vec<f64> =
        x.iter().zip(residual).map(|(&x, &y)| f64::from(x) + f64::from(y)).collect();
    let expected: Vec<f64> = sums
        .chunks_exact(cols)
        .flat_map(|row| naive::layer_norm(row, &weight, &bias, EPS))
        .collect();
    let norm = load_norm(exec, &weight, &bias);
    let (x, residual) = (exec.upload(x, cols).unwrap(), exec.upload(residual, cols).unwrap());
    let output = exec.residual_norm(x, &residual, &norm).unwrap();
    check(&format!("{cols} columns"), &host(exec, output, cols), &expected, limit);
}

fn residual_norm_is_the_norm_of_the_sum<E: Exec>(exec: &E) {
    for (rows, cols) in [(1, 3), (2, 33), (64, 32), (65, 71), (130, 384)] {
        let (x, residual) = (random(7, rows * cols, 2.0), random(8, rows * cols, 2.0));
        check_residual_norm(exec, &x, &residual, cols, 1e-6);
    }
    // No variance at all: eps keeps the quotient from being 0 / 0, and the bias is left.
    check_residual_norm(exec, &[0.5; 48], &[0.25; 48], 24, 1e-6);
}

fn norms_keep_their_digits_far_from_zero<E: Exec>(exec: &E) {
    // With a mean of 1000 and a deviation near 1, the square of the mean takes all digits of a
    // variance that is computed in one pass. The mean's own rounding costs up to 7e-5 here.
    let x: Vec<f32> = random(9, 5 * 200, 2.0).iter().map(|x| 1_000.0 + x).collect();
    check_residual_norm(exec, &x, &vec![0.0; x.len()], 200, 5e-4);
}

pub(crate) const LENGTHS: [usize; 6] = [1, 128, 129, 300, 2, 17];

pub(crate) fn cu_seqlens(lengths: &[usize]) -> Vec<u32> {
    let mut ends = vec![0];
    for &length in lengths {
        ends.push(ends[ends.len() - 1] + length as u32);
    }
    ends
}

fn check_attention<E: Exec>(exec: &E, heads: (usize, usize), head_dim: usize, mask: Mask) {
    spoil(exec);
    let (heads, kv_heads) = heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let attention = Attention { heads, kv_heads, head_dim, scale, mask };
    let qkv = random(10, LENGTHS.iter().sum::<usize>() * attention.qkv_dim(), 3.0);
    let expected = naive::attention(&qkv, &LENGTHS, &attention, |_, _, _| 0.0);
    let input = exec.upload(&qkv, attention.qkv_dim()).unwrap();
    let output = exec.attention(&input, &cu_seqlens(&LENGTHS), &attention, None).unwrap();
    check(&format!("{attention:?}"), &host(exec, output, heads * head_dim), &expected, 5e-6);
}

fn attention_is_softmax_over_the_visible_keys<E: Exec>(exec: &E) {
    let local = |radius| Mask::Local { radius };
    for mask in [Mask::Full, Mask::Causal, local(0), local(5), local(200)] {
        check_attention(exec, (4, 2), 16, mask);
    }
    for (heads, head_dim) in [((2, 2), 32), ((3, 1), 64), ((6, 3), 8), ((1, 1), 5)] {
        check_attention(exec, heads, head_dim, Mask::Full);
        check_attention(exec, heads, head_dim, local(64));
    }
}

fn attention_stands_large_scores<E: Exec>(exec: &E) {
    // Scores reach 5000: exp overflows unless each row's largest is taken off first, and rounding
    // alone moves such a score by 2e-4, which is the tolerance.
    let attention = Attention { heads: 1, kv_heads: 1, head_dim: 16, scale: 1.0, mask: Mask::Full };
    let qkv = random(11, 150 * 48, 30.0);
    let expected = naive::attention(&qkv, &[150], &attention, |_, _, _| 0.0);
    let output =
        exec.attention(&exec.upload(&qkv, 48).unwrap(), &[0, 150], &attention, None).unwrap();
    check("scores of 5000", &host(exec, output, 16), &expected, 1e-3);
}

/// Whole, inner and single-token spans of sequences of 3, 1, 70 and 4 tokens, out of order.
pub(crate) fn spans() -> (Vec<u32>, Vec<Span>) {
    let span = |seq, start, end| Span { seq, start, end };
    let spans = vec![
        span(2, 0, 70),
        span(0, 0, 3),
        span(3, 3, 4),
        span(1, 0, 1),
        span(2, 11, 64),
        span(2, 0, 70),
        span(0, 1, 2),
    ];
    (cu_seqlens(&[3, 1, 70, 4]), spans)
}

const POOLINGS: [Pooling; 6] = [
    Pooling::Mean,
    Pooling::Cls,
    Pooling::LastToken,
    Pooling::Max,
    Pooling::MeanSqrtLength,
    Pooling::WeightedMean,
];

fn pool_reads_each_span<E: Exec>(exec: &E) {
    let (cu_seqlens, spans) = spans();
    for cols in [1, 7, 32, 385] {
        spoil(exec);
        let hidden = random(12, 78 * cols, 1.0);
        let buffer = exec.upload(&hidden, cols).unwrap();
        for pooling in POOLINGS {
            let expected: Vec<f64> = spans
                .iter()
                .flat_map(|span| {
                    let first = cu_seqlens[span.seq as usize];
                    let (start, end) = ((first + span.start) as usize, (first + span.end) as usize);
                    let rows = &hidden[start * cols..end * cols];
                    naive::pool_from(span.start as usize, rows, cols, pooling)
                })
                .collect();
            let output = exec.pool(&buffer, &cu_seqlens, &spans, pooling).unwrap();
            check(&format!("{pooling:?} {cols}"), &host(exec, output, cols), &expected, 1e-6);
        }
    }
}

fn sum_runs_weighs_adds_and_divides<E: Exec>(exec: &E) {
    // Runs may overlap, repeat a row, and come in any order.
    let runs = vec![3..9, 0..1, 0..9, 8..9, 1..3];
    for cols in [1, 7, 32, 385] {
        spoil(exec);
        let (rows, weights) = (random(12, 9 * cols, 1.0), random(15, 9, 40.0));
        let divisors = vec![1.0, 7.0, 0.5, 3.0, 90.0];
        let sum = |(run, &divisor): (&Range<usize>, &f32)| -> Vec<f64> {
            let column = |column: usize| {
                let one =
                    |row: usize| f64::from(rows[row * cols + column]) * f64::from(weights[row]);
                run.clone().map(one).sum::<f64>() / f64::from(divisor)
            };
            (0..cols).map(column).collect()
        };
        let expected: Vec<f64> = runs.iter().zip(&divisors).flat_map(sum).collect();
        let buffer = exec.upload(&rows, cols).unwrap();
        let wanted = WeightedRuns { weights: weights.clone(), runs: runs.clone(), divisors };
        let output = exec.sum_runs(&buffer, &wanted).unwrap();
        check(&format!("{cols} columns"), &host(exec, output, cols), &expected, 1e-6);
        let beyond = WeightedRuns { runs: vec![0..9, 4..10], divisors: vec![1.0; 2], weights };
        check_index(exec.sum_runs(&buffer, &beyond), ("end of a run", 10, 10));
        let short = WeightedRuns { divisors: vec![1.0], ..beyond };
        assert!(matches!(exec.sum_runs(&buffer, &short), Err(Error::Length { .. })));
    }
}

fn finish_cuts_and_then_normalises<E: Exec>(exec: &E) {
    for (cols, dims) in [(1, 1), (7, 7), (7, 3), (384, 384), (384, 1), (385, 129)] {
        let mut rows = random(13, 9 * cols, 4.0);
        // A row without direction stays zero; it does not become NaN.
        rows[2 * cols..3 * cols].fill(0.0);
        let kept: Vec<Vec<f64>> = rows.chunks_exact(cols).map(|row| widen(&row[..dims])).collect();
        let unit = kept.iter().flat_map(|row| naive::normalize(row)).collect();
        for (normalize, expected) in [(false, kept.concat()), (true, unit)] {
            let buffer = exec.upload(&rows, cols).unwrap();
            let output = exec.finish(buffer, Projection { dims, normalize }).unwrap();
            check(&format!("{dims} of {cols}, {normalize}"), &output, &expected, 5e-7);
        }
    }
}

fn finish_brings_rows_as_wide_as_a_vocabulary<E: Exec>(exec: &E) {
    let (cols, rows) = (60_000, random(17, 2 * 60_000, 4.0));
    let buffer = exec.upload(&rows, cols).unwrap();
    assert_eq!(bits(&host(exec, buffer, cols)), bits(&rows));
}

mod gram_is_the_band_of_inner_products {
    #[test]
    fn cpu() {
        super::on_every_isa(|exec| super::check_gram(exec, 1e-6));
    }

    #[test]
    fn candle() {
        let device = candle_core::Device::Cpu;
        super::check_gram(&chunkflow::compute::CandleExec::new(device), 1e-6);
    }

    /// Adds the columns one by one, so that a product has the bits of a pair's score.
    #[cfg(feature = "cuda")]
    #[test]
    fn cuda() {
        let _turn = crate::cuda::turn();
        super::check_gram(&crate::cuda::exec(chunkflow::compute::Dtype::F32), 2e-6);
    }
}

fn check_gram<E: Exec>(exec: &E, tolerance: f64) {
    for (n, cols, width) in [(1, 1, 1), (1, 5, 4), (5, 7, 3), (6, 33, 40), (70, 384, 12)] {
        let rows = random(14, n * cols, 1.0);
        let output = exec.gram(&exec.upload(&rows, cols).unwrap(), width).unwrap();
        let expected = naive::gram(&rows, cols, width);
        check(&format!("{n} x {cols}, {width}"), &output, &expected, tolerance);
    }
}

fn finish_gram_is_the_band_of_what_is_finished<E: Exec>(exec: &E) {
    for (n, cols, dims, width) in [(1, 5, 5, 1), (6, 33, 33, 40), (70, 40, 12, 9)] {
        let rows = random(16, n * cols, 3.0);
        let upload = |rows: &[f32], cols| exec.upload(rows, cols).unwrap();
        let finish = Projection { dims, normalize: true };
        let (finished, band) = exec.finish_gram(upload(&rows, cols), finish, width).unwrap();
        let apart = exec.finish(upload(&rows, cols), finish).unwrap();
        assert_eq!(bits(&finished), bits(&apart));
        assert_eq!(bits(&band), bits(&exec.gram(&upload(&apart, dims), width).unwrap()));
    }
}

#[track_caller]
pub(crate) fn check_index<T>(result: Result<T, Error>, expected: (&str, usize, usize)) {
    match result {
        Err(Error::Index { what, index, limit }) => assert_eq!((what, index, limit), expected),
        Err(other) => panic!("{other}, not {expected:?}"),
        Ok(_) => panic!("accepted, not refused as {expected:?}"),
    }
}

fn indices_outside_their_table_are_named<E: Exec>(exec: &E) {
    let (word, position, token_type) = (vec![1.0; 5 * 4], vec![1.0; 3 * 4], vec![1.0; 2 * 4]);
    let tables = exec.load_tables(TableWeights {
        hidden: 4,
        word: &word,
        position: Some(&position),
        token_type: Some(&token_type),
    });
    let tables = tables.unwrap();
    let norm = load_norm(exec, &[1.0; 4], &[0.0; 4]);
    let embed = |ids: [u32; 2], type_ids: [u32; 2], positions: [u32; 2]| {
        let tokens = Tokens { ids: &ids, type_ids: &type_ids, positions: &positions };
        exec.embed_norm(&tables, Some(&norm), tokens)
    };
    assert!(embed([0, 4], [0, 1], [0, 2]).is_ok());
    check_index(embed([0, 5], [0, 1], [0, 2]), ("token id", 5, 5));
    check_index(embed([u32::MAX, 4], [0, 1], [0, 2]), ("token id", u32::MAX as usize, 5));
    check_index(embed([0, 4], [2, 1], [0, 2]), ("token type", 2, 2));
    check_index(embed([0, 4], [0, 1], [0, 3]), ("position", 3, 3));
}

fn tables_of_broken_rows_are_refused<E: Exec>(exec: &E) {
    let (whole, broken) = ([1.0; 8], [1.0; 7]);
    let load = |word: &[f32], position: &[f32], token_type: &[f32]| {
        let (position, token_type) = (Some(position), Some(token_type));
        exec.load_tables(TableWeights { hidden: 4, word, position, token_type }).is_ok()
    };
    assert!(load(&whole, &whole, &whole));
    assert!(!load(&broken, &whole, &whole), "word");
    assert!(!load(&whole, &broken, &whole), "position");
    assert!(!load(&whole, &whole, &broken), "token type");
}

fn weights_that_do_not_fit_are_refused<E: Exec>(exec: &E) {
    let values = [1.0; 64];
    let dense = |weights: usize, bias: Option<usize>, in_features: usize| DenseWeights {
        weight: &values[..weights],
        bias: bias.map(|len| &values[..len]),
        in_features,
    };
    let load = |parts: &[DenseWeights<'_>]| exec.load_linear(parts, Precision::Working).is_ok();
    assert!(load(&[dense(12, Some(3), 4), dense(8, None, 4)]));
    assert!(!load(&[dense(13, None, 4)]), "a broken row");
    assert!(!load(&[dense(12, Some(4), 4)]), "a bias too long");
    assert!(!load(&[dense(12, Some(3), 4), dense(12, None, 6)]), "parts of unlike inputs");
    let kind = NormKind::Layer;
    let norm = NormWeights { kind, weight: &values[..5], bias: Some(&values[..4]), eps: EPS };
    assert!(exec.load_norm(norm).is_err());
    assert!(exec.upload(&values[..7], 3).is_err());
}

fn inputs_that_do_not_fit_are_refused<E: Exec>(exec: &E) {
    let upload =
        |rows: usize, cols: usize| exec.upload(&random(15, rows * cols, 1.0), cols).unwrap();
    let weights = DenseWeights { weight: &[1.0; 12], bias: None, in_features: 4 };
    let linear = exec.load_linear(&[weights], Precision::Working).unwrap();
    assert!(exec.linear(&upload(2, 4), &linear, Epilogue::None).is_ok());
    assert!(exec.linear(&upload(4, 2), &linear, Epilogue::None).is_err());

    let norm = load_norm(exec, &[1.0; 4], &[0.0; 4]);
    assert!(exec.residual_norm(upload(3, 4), &upload(3, 4), &norm).is_ok());
    assert!(exec.residual_norm(upload(3, 4), &upload(2, 4), &norm).is_err(), "rows");
    assert!(exec.residual_norm(upload(3, 4), &upload(4, 3), &norm).is_err(), "columns");
    assert!(exec.residual_norm(upload(4, 3), &upload(4, 3), &norm).is_err(), "norm");

    let attention = Attention { heads: 2, kv_heads: 1, head_dim: 2, scale: 1.0, mask: Mask::Full };
    assert!(exec.attention(&upload(3, 8), &[0, 1, 3], &attention, None).is_ok());
    assert!(exec.attention(&upload(3, 12), &[0, 1, 3], &attention, None).is_err(), "columns");
    assert!(exec.attention(&upload(3, 8), &[0, 1, 4], &attention, None).is_err(), "rows");

    let tables =
        TableWeights { hidden: 4, word: &[1.0; 8], position: None, token_type: Some(&[1.0; 8]) };
    let tables = exec.load_tables(tables).unwrap();
    let tokens = Tokens { ids: &[0, 1], type_ids: &[0], positions: &[0, 1] };
    assert!(exec.embed_norm(&tables, Some(&norm), tokens).is_err(), "a type for each token");
}

fn spans_outside_their_sequence_are_refused<E: Exec>(exec: &E) {
    let hidden = exec.upload(&random(16, 5 * 3, 1.0), 3).unwrap();
    for pooling in POOLINGS {
        let pool =
            |seq, start, end| exec.pool(&hidden, &[0, 2, 5], &[Span { seq, start, end }], pooling);
        assert!(pool(1, 0, 3).is_ok());
        check_index(pool(2, 0, 1), ("sequence", 2, 2));
        // Rows of the next sequence are within the buffer, yet not of this one.
        check_index(pool(0, 0, 3), ("span end", 3, 3));
        check_index(pool(1, 1, 1), ("span end", 1, 4));
        check_index(pool(1, 2, 1), ("span end", 1, 4));
        // A table of sequences that reaches past the buffer.
        let outside = [Span { seq: 0, start: 0, end: 6 }];
        let result = exec.pool(&hidden, &[0, 6], &outside, pooling);
        assert!(result.is_err() || pooling == Pooling::Cls, "{pooling:?}");
    }
}

fn dimensions_beyond_the_columns_are_refused<E: Exec>(exec: &E) {
    let finish = |dims| {
        let rows = exec.upload(&[1.0; 12], 4).unwrap();
        exec.finish(rows, Projection { dims, normalize: true })
    };
    assert!(finish(4).is_ok());
    check_index(finish(0), ("dimensions", 0, 5));
    check_index(finish(5), ("dimensions", 5, 5));
}

/// Runs `operation` on all rows and on some of them: the rows they share must have the same bits.
#[track_caller]
fn check_rows_alone(rows: &[f32], cols: usize, operation: impl Fn(&[f32]) -> Vec<f32>) {
    let n = rows.len() / cols;
    let together = operation(rows);
    let out = together.len() / n;
    for first in [0, 1, 5, 63, 64, 65, n - 1] {
        for count in [1, 2, 3, 6, 7, 31, 64, 65, 66, n] {
            let last = n.min(first + count);
            let alone = operation(&rows[first * cols..last * cols]);
            let same = &together[first * out..last * out];
            assert_eq!(bits(&alone), bits(same), "rows {first}..{last} of {n}, {cols} columns");
        }
    }
}

/// The promise behind batch invariance, which only the fast form gives: with every instruction set
/// in every dtype.
#[test]
fn no_row_of_the_cpu_form_depends_on_its_neighbours() {
    for isa in Isa::available() {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8] {
            check_linear_alone(&CpuExec::with(isa, dtype));
        }
        check_norm_alone(&CpuExec::with(isa, Dtype::F32));
    }
}

fn check_linear_alone(exec: &CpuExec) {
    let none = [Epilogue::None];
    let all = [ACTIVATIONS.map(Epilogue::Activate), ACTIVATIONS.map(Epilogue::Gate)].concat();
    let few = [Epilogue::None, all[0], all[8]];
    let sizes = [(33, 6, &all[..]), (384, 384, &none), (1_536, 40, &none), (64, 1, &none)];
    for (cols, out, epilogues) in sizes.into_iter().chain([(97, 70, &few[..])]) {
        let (weight, bias) = (random(17, out * cols, 0.1), random(18, out.max(4), 1.0));
        let load = |weight: &[f32], bias, in_features| {
            let dense = DenseWeights { weight, bias: Some(bias), in_features };
            exec.load_linear(&[dense], Precision::Working).unwrap()
        };
        let linear = load(&weight, &bias[..out], cols);
        let rows = random(19, 200 * cols, 1.0);
        for &epilogue in epilogues {
            let columns = if matches!(epilogue, Epilogue::Gate(_)) { out / 2 } else { out };
            // Activations may be held in a format that only a dense layer reads.
            let next = load(&weight[..4 * columns], &bias[..4], columns);
            check_rows_alone(&rows, cols, |rows| {
                let rows = exec.upload(rows, cols).unwrap();
                let output = exec.linear(&rows, &linear, epilogue).unwrap();
                if epilogue == Epilogue::None {
                    return host(exec, output, out);
                }
                host(exec, exec.linear(&output, &next, Epilogue::None).unwrap(), 4)
            });
        }
    }
}

fn check_norm_alone(exec: &CpuExec) {
    for cols in [33, 384] {
        let (weight, bias) = norm_weights(20, cols);
        let norm = load_norm(exec, &weight, &bias);
        check_rows_alone(&random(21, 200 * cols, 1.0), cols, |rows| {
            let (x, y) = (exec.upload(rows, cols).unwrap(), exec.upload(rows, cols).unwrap());
            host(exec, exec.residual_norm(x, &y, &norm).unwrap(), cols)
        });
    }
}
