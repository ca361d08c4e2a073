//! Operations in f16 and bf16 against loops in f64 over the rounded inputs, so that only what the
//! operation itself rounds is measured: its result, and the weights of attention.

use chunkflow::compute::{
    Activation, Attend, Attention, Band, BiasWeights, CudaExec, Dense, DenseWeights, Dtype, Embed,
    Epilogue, Mask, NormKind, NormWeights, Norms, Pool, Pooling, Precision, Projection,
    RotaryWeights, Rotate, TableWeights, Tokens,
};

use super::{exec, has, rounded};
use crate::exec::{EPS, LENGTHS, check, cu_seqlens, host, norm_weights, random, spans, spoil};
use crate::support::{naive, widen};

/// The dtypes, of which 7.5 has the first, each with half the distance of two neighbouring values next to 1.
const NARROW: [(Dtype, f64); 2] = [(Dtype::F16, 1.0 / 2_048.0), (Dtype::Bf16, 1.0 / 256.0)];

fn on_both(test: impl Fn(&CudaExec, Dtype, f64)) {
    let _turn = super::turn();
    for (dtype, unit) in NARROW {
        if has(dtype) {
            test(&exec(dtype), dtype, unit);
        }
    }
}

#[test]
fn linear_is_the_product_through_the_epilogue() {
    on_both(|exec, dtype, unit| {
        for (rows, cols, outputs) in [(1, 1, 2), (3, 33, 10), (65, 384, 128)] {
            let input = rounded(dtype, &random(1, rows * cols, 1.0));
            let scale = (3.0 / cols as f32).sqrt();
            let weight = rounded(dtype, &random(2, outputs * cols, scale));
            let bias = rounded(dtype, &random(3, outputs, 1.0));
            let layer = DenseWeights { weight: &weight, bias: Some(&bias), in_features: cols };
            let layer = exec.load_linear(&[layer], Precision::Working).unwrap();
            let buffer = exec.upload_working(&input, cols).unwrap();
            let plain = naive::linear(&input, &weight, Some(&bias), cols);
            let gelu: Vec<f64> = plain.iter().map(|&x| naive::gelu(x)).collect();
            let gated = plain.chunks_exact(outputs).flat_map(|row| {
                let (gate, up) = row.split_at(outputs / 2);
                gate.iter().zip(up).map(|(&x, y)| naive::gelu(x) * y).collect::<Vec<_>>()
            });
            let gated: Vec<f64> = gated.collect();
            // The product is rounded, then what follows it.
            for (epilogue, columns, expected, units) in [
                (Epilogue::None, outputs, &plain, 1.0),
                (Epilogue::Activate(Activation::Gelu), outputs, &gelu, 2.5),
                (Epilogue::Gate(Activation::Gelu), outputs / 2, &gated, 4.0),
            ] {
                let output = exec.linear(&buffer, &layer, epilogue).unwrap();
                let what = format!("{dtype} {rows} x {cols} to {outputs} {epilogue:?}");
                check(&what, &host(exec, output, columns), expected, units * unit);
            }
        }
    });
}

fn check_attention(
    (exec, dtype, unit): (&CudaExec, Dtype, f64),
    heads: (usize, usize),
    head_dim: usize,
    mask: Mask,
    lengths: &[usize],
) {
    let (heads, kv_heads) = heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let attention = Attention { heads, kv_heads, head_dim, scale, mask };
    let rows: usize = lengths.iter().sum();
    let qkv = rounded(dtype, &random(10, rows * attention.qkv_dim(), 3.0));
    let slopes: Vec<f32> = (1..=heads).map(|head| 0.5 / head as f32).collect();
    let table = random(11, heads * 9, 2.0);
    let distance = |query: usize, key: usize| (key + 4).saturating_sub(query).min(8);
    let biases = [
        None,
        Some(BiasWeights::Slopes(&slopes)),
        Some(BiasWeights::Table { values: &table, radius: 4 }),
    ];
    for bias in biases {
        let expected = naive::attention(&qkv, lengths, &attention, |head, query, key| match bias {
            None => 0.0,
            Some(BiasWeights::Slopes(slopes)) => {
                -f64::from(slopes[head]) * key.abs_diff(query) as f64
            }
            Some(BiasWeights::Table { values, .. }) => {
                f64::from(values[head * 9 + distance(query, key)])
            }
        });
        let loaded = bias.map(|bias| exec.load_bias(bias).unwrap());
        let input = exec.upload_working(&qkv, attention.qkv_dim()).unwrap();
        let output = exec.attention(&input, &cu_seqlens(lengths), &attention, loaded.as_ref());
        let output = host(exec, output.unwrap(), heads * head_dim);
        let what = format!("{dtype} {attention:?} {bias:?}");
        check(&what, &output, &expected, 2.0 * unit);
    }
}

#[test]
fn attention_is_softmax_over_the_visible_keys() {
    on_both(|exec, dtype, unit| {
        let local = |radius| Mask::Local { radius };
        for mask in [Mask::Full, Mask::Causal, local(0), local(5), local(70)] {
            check_attention((exec, dtype, unit), (4, 2), 16, mask, &LENGTHS);
        }
        for head_dim in [5, 8, 32, 64, 96, 128, 256] {
            check_attention((exec, dtype, unit), (2, 1), head_dim, Mask::Full, &[70, 1, 0, 33]);
            check_attention((exec, dtype, unit), (1, 1), head_dim, local(40), &[150]);
        }
    });
}

#[test]
fn norms_are_those_of_the_sums() {
    on_both(|exec, dtype, unit| {
        for (rows, cols) in [(1, 3), (9, 33), (70, 384), (2, 1_024)] {
            let x = rounded(dtype, &random(7, rows * cols, 2.0));
            let y = rounded(dtype, &random(8, rows * cols, 2.0));
            let (weight, bias) = norm_weights(6, cols);
            let sums: Vec<f64> = x.iter().zip(&y).map(|(&x, &y)| f64::from(x + y)).collect();
            let expected: Vec<f64> = sums
                .chunks_exact(cols)
                .flat_map(|row| naive::layer_norm(row, &weight, &bias, EPS))
                .collect();
            let kind = NormKind::Layer;
            let norm = NormWeights { kind, weight: &weight, bias: Some(&bias), eps: EPS };
            let norm = exec.load_norm(norm).unwrap();
            let x = exec.upload_working(&x, cols).unwrap();
            let mut sum = exec.upload_working(&y, cols).unwrap();
            let output = exec.add_norm(x, None, &mut sum, &norm).unwrap();
            let what = format!("{dtype} {rows} x {cols}");
            check(&what, &host(exec, output, cols), &expected, unit);
            check(&what, &host(exec, sum, cols), &sums, unit);
        }
    });
}

#[test]
fn embeddings_are_sums_of_rows() {
    on_both(|exec, dtype, unit| {
        for hidden in [3, 33, 384] {
            let word = rounded(dtype, &random(1, 50 * hidden, 1.0));
            let kind = rounded(dtype, &random(2, 2 * hidden, 1.0));
            let tables = exec.load_tables(TableWeights {
                hidden,
                word: &word,
                position: None,
                token_type: Some(&kind),
            });
            let (ids, type_ids) = ([49, 0, 7], [1, 0, 1]);
            let row = |table: &[f32], at: u32| widen(&table[at as usize * hidden..][..hidden]);
            let sum = |(&id, &at): (&u32, &u32)| -> Vec<f64> {
                row(&word, id).iter().zip(row(&kind, at)).map(|(x, y)| x + y).collect()
            };
            let expected: Vec<f64> = ids.iter().zip(&type_ids).flat_map(sum).collect();
            let tokens = Tokens { ids: &ids, type_ids: &type_ids, positions: &[0, 1, 2] };
            let output = exec.embed_norm(&tables.unwrap(), None, tokens).unwrap();
            check(&format!("{dtype} {hidden}"), &host(exec, output, hidden), &expected, unit);
        }
    });
}

#[test]
fn rotary_turns_heads() {
    on_both(|exec, dtype, unit| {
        for head_dim in [2, 6, 64, 96, 256] {
            let (heads, kv_heads) = (3, 1);
            let frequencies: Vec<f32> =
                (0..head_dim / 2).map(|pair| 0.9_f32.powi(pair as i32)).collect();
            let rotary = RotaryWeights { frequencies: &frequencies, positions: 40 };
            let rotary = exec.load_rotary(rotary).unwrap();
            let scale = 1.0;
            let attention = Attention { heads, kv_heads, head_dim, scale, mask: Mask::Full };
            let positions = [0, 39, 7, 1, 2];
            let qkv = rounded(dtype, &random(9, 5 * attention.qkv_dim(), 2.0));
            let expected: Vec<f64> = qkv
                .chunks_exact(attention.qkv_dim())
                .zip(positions)
                .flat_map(|(row, position)| {
                    let head = |(index, head): (usize, &[f32])| {
                        if index < heads + kv_heads {
                            naive::rotate(&widen(head), position, &frequencies)
                        } else {
                            widen(head)
                        }
                    };
                    row.chunks_exact(head_dim).enumerate().flat_map(head).collect::<Vec<_>>()
                })
                .collect();
            let input = exec.upload_working(&qkv, attention.qkv_dim()).unwrap();
            let output = exec.rotary(input, &positions, &attention, None, &rotary).unwrap();
            let output = host(exec, output, attention.qkv_dim());
            check(&format!("{dtype} {head_dim}"), &output, &expected, unit);
        }
    });
}

#[test]
fn spans_are_pooled_and_finished_in_one_launch() {
    let (cu_seqlens, spans) = spans();
    on_both(|exec, dtype, _| {
        for (cols, dims) in [(1, 1), (33, 20), (384, 384), (384, 100)] {
            let hidden = rounded(dtype, &random(12, 78 * cols, 1.0));
            let buffer = exec.upload_working(&hidden, cols).unwrap();
            let finish = Projection { dims, normalize: true };
            let expected = spans.iter().flat_map(|span| {
                let first = cu_seqlens[span.seq as usize];
                let (start, end) = ((first + span.start) as usize, (first + span.end) as usize);
                let rows = &hidden[start * cols..end * cols];
                naive::normalize(&naive::pool(rows, cols, Pooling::Mean)[..dims])
            });
            let expected: Vec<f64> = expected.collect();
            let rows = exec.pool_finish(&buffer, &cu_seqlens, &spans, Pooling::Mean, finish);
            check(&format!("{dtype} {dims}"), &rows.unwrap(), &expected, 1e-6);
        }
    });
}

#[test]
fn bands_are_inner_products_of_neighbours() {
    on_both(|exec, dtype, _| {
        spoil(exec);
        for (n, cols) in [(1, 1), (2, 7), (63, 100), (65, 32), (130, 33), (130, 384), (300, 8)] {
            // What f32 sums of products of values up to 1 may be off by.
            let tolerance = 2e-7 * (cols as f64 + 1.0);
            for width in [1, 5, 40, 70] {
                let rows = rounded(dtype, &random(1, n * cols, 1.0));
                let band = exec.gram(&exec.upload_working(&rows, cols).unwrap(), width).unwrap();
                let what = format!("{dtype} {n} x {cols}, {width}");
                let expected = naive::gram(&rows, cols, width);
                check(&what, &band, &expected, tolerance);
            }
        }
        let none = exec.upload_working(&[], 4).unwrap();
        assert!(exec.gram(&none, 3).unwrap().is_empty());
        let some = exec.upload_working(&[1.0; 8], 4).unwrap();
        assert!(exec.gram(&some, 0).unwrap().is_empty());
    });
}
