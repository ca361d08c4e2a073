//! A value that is not finite shows in what is computed from it, and nowhere else.

use chunkflow::compute::{
    Activation, Attend, Attention, Buffers, CpuExec, Dense, Dtype, Epilogue, Mask, NormKind,
    NormWeights, Norms, Span,
};

use super::{held, kernels, load};
use crate::exec::{ACTIVATIONS, EPS, cu_seqlens, host, norm_weights, random};
use crate::support::bits;

/// Both infinities, and NaN: quiet, negative, and one that rounding to 16 bits would make infinite.
const WRONG: [u32; 5] = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0x7f80_0000, 0xff80_0000];

/// Runs `operation` over `rows` with a wrong value in each of `places`, in turn: rows `shown` of
/// the output are not all finite, and others have the bits that they have without it.
#[track_caller]
fn check_shown(
    what: &str,
    rows: &[f32],
    places: &[usize],
    shown: std::ops::Range<usize>,
    wrong: &[u32],
    operation: impl Fn(&[f32]) -> Vec<Vec<f32>>,
) {
    let clean = operation(rows);
    assert!(clean.iter().flatten().all(|x| x.is_finite()), "{what}");
    for &place in places {
        for &value in wrong {
            let mut rows = rows.to_vec();
            rows[place] = f32::from_bits(value);
            let output = operation(&rows);
            let finite = output[shown.clone()].iter().flatten().all(|x| x.is_finite());
            assert!(!finite, "{what}: {value:#x} at {place} does not show");
            for (index, (row, clean)) in output.iter().zip(&clean).enumerate() {
                let same = shown.contains(&index) || bits(row) == bits(clean);
                assert!(same, "{what}: {value:#x} at {place} shows in row {index}");
            }
        }
    }
}

fn split(values: &[f32], cols: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(cols).map(<[f32]>::to_vec).collect()
}

const ROW: usize = 4;

#[test]
fn linear_shows_it_in_its_row() {
    let (cols, out) = (37, 22);
    let rows = random(1, 17 * cols, 2.0);
    let (weight, bias) = (random(2, out * cols, 0.5), random(3, out, 1.0));
    let places = [0, 17, 36].map(|column| ROW * cols + column);
    for (isa, dtype) in kernels() {
        let exec = CpuExec::with(isa, dtype);
        let linear = load(&exec, &weight, Some(&bias), cols);
        let run = |epilogue| {
            let (exec, linear) = (&exec, &linear);
            move |rows: &[f32]| {
                let columns = if matches!(epilogue, Epilogue::Gate(_)) { out / 2 } else { out };
                let input = exec.upload(rows, cols).unwrap();
                let output = exec.linear(&input, linear, epilogue).unwrap();
                split(&held(exec, &output, columns), columns)
            }
        };
        let what = |epilogue: Epilogue| format!("{isa} {dtype} {epilogue:?}");
        let functions = ACTIVATIONS.map(Epilogue::Activate);
        let gates = ACTIVATIONS.map(Epilogue::Gate);
        for epilogue in [&[Epilogue::None], &functions[..], &gates[..]].concat() {
            // An activation may make a finite value of an infinity.
            let wrong = if epilogue == Epilogue::None { &WRONG[..] } else { &WRONG[..3] };
            let shown = ROW..ROW + 1;
            check_shown(&what(epilogue), &rows, &places, shown, wrong, run(epilogue));
        }
        // With one weight for all, an output is the infinity itself.
        let linear = load(&exec, &vec![1.0; out * cols], None, cols);
        for activation in
            [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu]
        {
            let epilogue = Epilogue::Activate(activation);
            let run = |rows: &[f32]| {
                let input = exec.upload(rows, cols).unwrap();
                let output = exec.linear(&input, &linear, epilogue).unwrap();
                split(&held(&exec, &output, out), out)
            };
            check_shown(&what(epilogue), &rows, &places, ROW..ROW + 1, &WRONG[3..4], run);
        }
    }
}

/// Of every span that holds it.
#[test]
fn linear_shows_a_weight_in_its_feature() {
    let (cols, out, count) = (37, 35, 5);
    let (rows, bias) = (random(1, count * cols, 2.0), random(3, out, 1.0));
    let places = [0, 17, 36].map(|column| ROW * cols + column);
    for (isa, dtype) in kernels() {
        let exec = CpuExec::with(isa, dtype);
        let features = |weight: &[f32]| {
            let linear = load(&exec, weight, Some(&bias), cols);
            let input = exec.upload(&rows, cols).unwrap();
            let output = host(&exec, exec.linear(&input, &linear, Epilogue::None).unwrap(), out);
            let feature = |index| (0..count).map(|row| output[row * out + index]).collect();
            (0..out).map(feature).collect()
        };
        let what = format!("{isa} {dtype}");
        let weight = random(2, out * cols, 0.5);
        check_shown(&what, &weight, &places, ROW..ROW + 1, &WRONG, features);
    }
}

#[test]
fn linear_max_shows_it_in_its_spans() {
    let (cols, out) = (19, 35);
    let rows = random(7, 12 * cols, 2.0);
    let weight = random(8, out * cols, 0.5);
    let span = |start, end| Span { seq: 0, start, end };
    for (isa, dtype) in kernels() {
        let exec = CpuExec::with(isa, dtype);
        let linear = load(&exec, &weight, None, cols);
        for holds in [span(0, 12), span(4, 5), span(3, 6)] {
            let what = format!("{isa} {dtype} {holds:?}");
            let spans = [span(0, 4), holds, span(5, 12)];
            check_shown(&what, &rows, &[ROW * cols + 7], 1..2, &WRONG[..3], |rows| {
                let input = exec.upload(rows, cols).unwrap();
                let output = exec.linear_max(&input, &linear, &[0, 12], &spans).unwrap();
                split(&host(&exec, output, out), out)
            });
        }
    }
}

#[test]
fn norms_show_it_in_their_row() {
    let cols = 75;
    let (rows, (weight, bias)) = (random(4, 9 * cols, 2.0), norm_weights(5, cols));
    let places = [0, 63, 64, 74].map(|column| ROW * cols + column);
    for (isa, dtype) in kernels() {
        let exec = CpuExec::with(isa, dtype);
        for (kind, bias) in [(NormKind::Layer, Some(&bias[..])), (NormKind::Rms, None)] {
            let weights = NormWeights { kind, weight: &weight, bias, eps: EPS };
            let norm = exec.load_norm(weights).unwrap();
            let what = format!("{isa} {dtype} {kind:?}");
            // As the next layer reads it, which is not how the next norm does.
            check_shown(&what, &rows, &places, ROW..ROW + 1, &WRONG, |rows| {
                let input = exec.upload(rows, cols).unwrap();
                let output = exec.norm(&input, &norm).unwrap();
                split(&held(&exec, &output, cols), cols)
            });
            check_shown(&what, &rows, &places, ROW..ROW + 1, &WRONG, |rows| {
                let (x, y) = (exec.upload(rows, cols).unwrap(), exec.upload(rows, cols).unwrap());
                let output = exec.residual_norm(x, &y, &norm).unwrap();
                split(&host(&exec, output, cols), cols)
            });
        }
    }
}

#[test]
fn attention_shows_it_in_its_sequence() {
    let lengths = [3, 260, 1, 20];
    let ends = cu_seqlens(&lengths);
    for (isa, dtype) in kernels() {
        let exec = CpuExec::with(isa, dtype);
        let masks = [Mask::Full, Mask::Causal, Mask::Local { radius: 4 }];
        // Only what is written differs from dtype to dtype.
        for &mask in if dtype == Dtype::F32 { &masks[..] } else { &masks[..1] } {
            let attention = Attention { heads: 2, kv_heads: 1, head_dim: 9, scale: 0.33, mask };
            let (cols, out) = (attention.qkv_dim(), 18);
            let rows = random(6, ends[4] as usize * cols, 2.0);
            for sequence in 0..lengths.len() {
                let shown = ends[sequence] as usize..ends[sequence + 1] as usize;
                let what = format!("{isa} {dtype} {mask:?} sequence {sequence}");
                let run = |rows: &[f32]| {
                    let input = exec.upload(rows, cols).unwrap();
                    let output = exec.attention(&input, &ends, &attention, None).unwrap();
                    split(&held(&exec, &output, out), out)
                };
                // Query and key, then value, of the first token or the last.
                let (first, last) = (shown.start * cols, (shown.end - 1) * cols);
                let scores = [first, last + 17, last + 18, first + 26];
                let values = [first + 27, last + 35];
                check_shown(&what, &rows, &values, shown.clone(), &WRONG, run);
                // An infinite score may be one that leaves its key no weight, of a few queries.
                let many = mask == Mask::Full && shown.len() > 100;
                let wrong = if many { &WRONG[..] } else { &WRONG[..3] };
                check_shown(&what, &rows, &scores, shown, wrong, run);
            }
        }
    }
}
