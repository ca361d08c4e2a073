//! The operations that only some families need, for every form, against loops in f64.

use chunkflow::compute::{
    Attention, BiasWeights, DenseWeights, Exec, Mask, NormKind, NormWeights, Precision,
    RotaryWeights, Span, TableWeights, Tokens,
};

use crate::exec::{
    EPS, LENGTHS, check, check_index, cu_seqlens, host, norm_weights, on_every_form, random, spans,
    spoil,
};
use crate::support::{naive, widen};

on_every_form!(
    rms_norm_divides_by_the_root_mean_square,
    norms_without_a_bias,
    add_norm_keeps_the_sum,
    add_norm_normalises_before_it_adds,
    embeddings_without_a_norm,
    rotary_turns_queries_and_keys,
    rotary_normalises_heads_first,
    positions_beyond_the_table_are_named,
    biases_by_distance_are_added_to_scores,
    biases_that_do_not_fit_are_refused,
    linear_max_is_the_largest_output_over_each_span,
);

fn rms<E: Exec>(exec: &E, weight: &[f32]) -> E::Norm {
    exec.load_norm(NormWeights { kind: NormKind::Rms, weight, bias: None, eps: EPS }).unwrap()
}

fn rms_norm_divides_by_the_root_mean_square<E: Exec>(exec: &E) {
    for (rows, cols) in [(1, 3), (65, 33), (70, 384)] {
        spoil(exec);
        let (x, (weight, _)) = (random(1, rows * cols, 2.0), norm_weights(2, cols));
        let expected: Vec<f64> = x
            .chunks_exact(cols)
            .flat_map(|row| naive::rms_norm(&widen(row), &weight, EPS))
            .collect();
        let input = exec.upload(&x, cols).unwrap();
        let output = exec.norm(&input, &rms(exec, &weight)).unwrap();
        check(&format!("{rows} x {cols}"), &host(exec, output, cols), &expected, 1e-6);
        check("the input stays", &host(exec, input, cols), &widen(&x), 0.0);
    }
}

fn norms_without_a_bias<E: Exec>(exec: &E) {
    let (x, (weight, _)) = (random(3, 5 * 40, 2.0), norm_weights(4, 40));
    let kind = NormKind::Layer;
    let norm = exec.load_norm(NormWeights { kind, weight: &weight, bias: None, eps: EPS }).unwrap();
    let expected: Vec<f64> = x
        .chunks_exact(40)
        .flat_map(|row| naive::layer_norm(&widen(row), &weight, &[0.0; 40], EPS))
        .collect();
    let output = exec.norm(&exec.upload(&x, 40).unwrap(), &norm).unwrap();
    check("layer norm", &host(exec, output, 40), &expected, 1e-6);
}

fn add_norm_keeps_the_sum<E: Exec>(exec: &E) {
    for (rows, cols) in [(1, 5), (66, 33), (130, 384)] {
        spoil(exec);
        let (x, y) = (random(5, rows * cols, 2.0), random(6, rows * cols, 2.0));
        let (weight, _) = norm_weights(7, cols);
        let sums: Vec<f64> = x.iter().zip(&y).map(|(&x, &y)| f64::from(x + y)).collect();
        let expected: Vec<f64> =
            sums.chunks_exact(cols).flat_map(|row| naive::rms_norm(row, &weight, EPS)).collect();
        let mut residual = exec.upload(&y, cols).unwrap();
        let x = exec.upload(&x, cols).unwrap();
        let output = exec.add_norm(x, None, &mut residual, &rms(exec, &weight)).unwrap();
        check("norm", &host(exec, output, cols), &expected, 1e-6);
        check("sum", &host(exec, residual, cols), &sums, 1e-7);
    }
}

fn add_norm_normalises_before_it_adds<E: Exec>(exec: &E) {
    let (rows, cols) = (33, 40);
    let (x, y) = (random(15, rows * cols, 2.0), random(16, rows * cols, 2.0));
    let ((inner, _), (weight, _)) = (norm_weights(17, cols), norm_weights(18, cols));
    let normed = x.chunks_exact(cols).flat_map(|row| naive::rms_norm(&widen(row), &inner, EPS));
    let sums: Vec<f64> = normed.zip(&y).map(|(x, &y)| x + f64::from(y)).collect();
    let expected: Vec<f64> =
        sums.chunks_exact(cols).flat_map(|row| naive::rms_norm(row, &weight, EPS)).collect();
    let mut residual = exec.upload(&y, cols).unwrap();
    let (x, inner) = (exec.upload(&x, cols).unwrap(), rms(exec, &inner));
    let output = exec.add_norm(x, Some(&inner), &mut residual, &rms(exec, &weight)).unwrap();
    check("norm", &host(exec, output, cols), &expected, 1e-6);
    check("sum", &host(exec, residual, cols), &sums, 1e-6);
}

fn embeddings_without_a_norm<E: Exec>(exec: &E) {
    let word = random(8, 10 * 6, 1.0);
    let tables = TableWeights { hidden: 6, word: &word, position: None, token_type: None };
    let tables = exec.load_tables(tables).unwrap();
    let tokens = Tokens { ids: &[3, 9, 0], type_ids: &[0; 3], positions: &[0, 1, 2] };
    let output = exec.embed_norm(&tables, None, tokens).unwrap();
    let rows = [&word[18..24], &word[54..60], &word[..6]].concat();
    check("rows of the table", &host(exec, output, 6), &widen(&rows), 0.0);
}

const POSITIONS: usize = 9_000;

fn check_rotary<E: Exec>(exec: &E, heads: (usize, usize), head_dim: usize, norms: bool) {
    spoil(exec);
    let (heads, kv_heads) = heads;
    let attention = Attention { heads, kv_heads, head_dim, scale: 1.0, mask: Mask::Full };
    let frequencies: Vec<f32> = (0..head_dim / 2)
        .map(|pair| 10_000_f32.powf(-((2 * pair) as f32) / head_dim as f32))
        .collect();
    let positions: Vec<u32> = (0..40).chain([511, 512, 8_191, POSITIONS as u32 - 1]).collect();
    let cols = attention.qkv_dim();
    let qkv = random(9, positions.len() * cols, 1.5);
    let (queries, keys) = (norm_weights(10, head_dim).0, norm_weights(12, head_dim).0);
    let mut expected = Vec::new();
    for (row, &position) in qkv.chunks_exact(cols).zip(&positions) {
        for (index, head) in row.chunks_exact(head_dim).enumerate() {
            let weight = if index < heads { &queries } else { &keys };
            let head = if norms && index < heads + kv_heads {
                naive::rms_norm(&widen(head), weight, EPS)
            } else {
                widen(head)
            };
            expected.extend(if index < heads + kv_heads {
                naive::rotate(&head, position, &frequencies)
            } else {
                head
            });
        }
    }
    let weights = RotaryWeights { frequencies: &frequencies, positions: POSITIONS };
    let rotary = exec.load_rotary(weights).unwrap();
    let norms = norms.then(|| [rms(exec, &queries), rms(exec, &keys)]);
    let input = exec.upload(&qkv, cols).unwrap();
    let output = exec.rotary(input, &positions, &attention, norms.as_ref(), &rotary).unwrap();
    check(&format!("{attention:?}"), &host(exec, output, cols), &expected, 1e-6);
}

fn rotary_turns_queries_and_keys<E: Exec>(exec: &E) {
    for (heads, head_dim) in [((1, 1), 2), ((4, 2), 16), ((3, 1), 64), ((2, 2), 10)] {
        check_rotary(exec, heads, head_dim, false);
    }
}

fn rotary_normalises_heads_first<E: Exec>(exec: &E) {
    for (heads, head_dim) in [((1, 1), 4), ((4, 2), 16), ((3, 1), 128)] {
        check_rotary(exec, heads, head_dim, true);
    }
}

fn positions_beyond_the_table_are_named<E: Exec>(exec: &E) {
    let attention = Attention { heads: 1, kv_heads: 1, head_dim: 4, scale: 1.0, mask: Mask::Full };
    let weights = RotaryWeights { frequencies: &[1.0, 0.5], positions: 8 };
    let rotary = exec.load_rotary(weights).unwrap();
    let turn = |cols: usize, positions: &[u32]| {
        let input = exec.upload(&vec![1.0; positions.len() * cols], cols).unwrap();
        exec.rotary(input, positions, &attention, None, &rotary)
    };
    assert!(turn(12, &[0, 7]).is_ok());
    check_index(turn(12, &[0, 8]), ("position", 8, 8));
    assert!(turn(16, &[0, 7]).is_err(), "columns");
}

fn biases_by_distance_are_added_to_scores<E: Exec>(exec: &E) {
    let tokens = LENGTHS.iter().sum::<usize>();
    for mask in [Mask::Full, Mask::Local { radius: 20 }] {
        spoil(exec);
        let attention = Attention { heads: 4, kv_heads: 2, head_dim: 16, scale: 0.25, mask };
        let qkv = random(13, tokens * attention.qkv_dim(), 3.0);
        let input = exec.upload(&qkv, attention.qkv_dim()).unwrap();
        let run = |weights| {
            let bias = exec.load_bias(weights).unwrap();
            let output =
                exec.attention(&input, &cu_seqlens(&LENGTHS), &attention, Some(&bias)).unwrap();
            host(exec, output, 64)
        };
        let slopes = [0.5, 0.25, 0.125, 0.01];
        let expected = naive::attention(&qkv, &LENGTHS, &attention, |head, query, key| {
            -f64::from(slopes[head]) * key.abs_diff(query) as f64
        });
        check("slopes", &run(BiasWeights::Slopes(&slopes)), &expected, 5e-6);

        let radius = 7;
        let values = random(14, 4 * 15, 3.0);
        let expected = naive::attention(&qkv, &LENGTHS, &attention, |head, query, key| {
            let distance = (key as i64 - query as i64).clamp(-7, 7) + 7;
            f64::from(values[head * 15 + distance as usize])
        });
        check("table", &run(BiasWeights::Table { values: &values, radius }), &expected, 5e-6);
    }
}

fn biases_that_do_not_fit_are_refused<E: Exec>(exec: &E) {
    let broken = BiasWeights::Table { values: &[0.0; 31], radius: 7 };
    assert!(exec.load_bias(broken).is_err(), "a broken row");
    let attention = Attention { heads: 2, kv_heads: 2, head_dim: 2, scale: 1.0, mask: Mask::Full };
    let input = exec.upload(&[1.0; 36], 12).unwrap();
    for (slopes, accepted) in [(&[0.5; 2][..], true), (&[0.5; 3], false), (&[0.5; 1], false)] {
        let bias = exec.load_bias(BiasWeights::Slopes(slopes)).unwrap();
        let result = exec.attention(&input, &[0, 3], &attention, Some(&bias));
        assert_eq!(result.is_ok(), accepted, "{} slopes for 2 heads", slopes.len());
    }
}

fn linear_max_is_the_largest_output_over_each_span<E: Exec>(exec: &E) {
    let (cu_seqlens, spans) = spans();
    for (cols, out) in [(7, 1), (32, 33), (96, 301)] {
        spoil(exec);
        let (states, weight) = (random(15, 78 * cols, 1.0), random(16, out * cols, 0.3));
        let bias = random(17, out, 1.0);
        let dense = DenseWeights { weight: &weight, bias: Some(&bias), in_features: cols };
        let linear = exec.load_linear(&[dense], Precision::Working).unwrap();
        let all = naive::linear(&states, &weight, Some(&bias), cols);
        let largest = |span: &Span| {
            let first = cu_seqlens[span.seq as usize];
            let rows = (first + span.start) as usize..(first + span.end) as usize;
            let rows = &all[rows.start * out..rows.end * out];
            let column = |col: usize| rows.iter().skip(col).step_by(out);
            (0..out).map(|col| column(col).copied().fold(f64::MIN, f64::max)).collect::<Vec<_>>()
        };
        let expected: Vec<f64> = spans.iter().flat_map(largest).collect();
        let input = exec.upload(&states, cols).unwrap();
        let output = exec.linear_max(&input, &linear, &cu_seqlens, &spans).unwrap();
        check(&format!("{cols} to {out}"), &host(exec, output, out), &expected, 2e-6);
    }
    let input = exec.upload(&[1.0; 12], 4).unwrap();
    let dense = DenseWeights { weight: &[1.0; 8], bias: None, in_features: 4 };
    let linear = exec.load_linear(&[dense], Precision::Working).unwrap();
    let outside = [Span { seq: 0, start: 0, end: 4 }];
    check_index(exec.linear_max(&input, &linear, &[0, 3], &outside), ("span end", 4, 4));
}
