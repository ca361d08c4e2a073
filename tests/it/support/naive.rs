//! The operations as their formulas read, in f64, one loop a sum. Shares no code with the forms.

use chunkflow::compute::{Activation, Attention, Mask, Pooling};

/// `[rows, cols]` times the transpose of `[outputs, cols]`, plus `bias`: `[rows, outputs]`.
pub(crate) fn linear(input: &[f32], weight: &[f32], bias: Option<&[f32]>, cols: usize) -> Vec<f64> {
    let mut output = Vec::new();
    for row in input.chunks_exact(cols) {
        for (index, column) in weight.chunks_exact(cols).enumerate() {
            output.push(dot(row, column) + bias.map_or(0.0, |bias| f64::from(bias[index])));
        }
    }
    output
}

/// Layer norm of one row.
pub(crate) fn layer_norm(row: &[f64], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f64> {
    let len = row.len() as f64;
    let mean = row.iter().sum::<f64>() / len;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / len;
    let deviation = (variance + f64::from(eps)).sqrt();
    let parts = row.iter().zip(weight).zip(bias);
    parts.map(|((x, &w), &b)| (x - mean) / deviation * f64::from(w) + f64::from(b)).collect()
}

/// RMS norm of one row.
pub(crate) fn rms_norm(row: &[f64], weight: &[f32], eps: f32) -> Vec<f64> {
    let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
    let root = (mean + f64::from(eps)).sqrt();
    row.iter().zip(weight).map(|(x, &w)| x / root * f64::from(w)).collect()
}

/// One head turned by `position`, its pairs being halves apart.
pub(crate) fn rotate(head: &[f64], position: u32, frequencies: &[f32]) -> Vec<f64> {
    let half = head.len() / 2;
    let turned = |column: usize| {
        let pair = column % half;
        // The angle is a product in f32 by contract.
        let (sin, cos) = f64::from(position as f32 * frequencies[pair]).sin_cos();
        let other = head[(column + half) % head.len()];
        head[column] * cos + if column < half { -other * sin } else { other * sin }
    };
    (0..head.len()).map(turned).collect()
}

/// Softmax attention over sequences of the given lengths; `bias` of head, query and key is added
/// to the scores.
pub(crate) fn attention(
    qkv: &[f32],
    lengths: &[usize],
    attention: &Attention,
    bias: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f64> {
    let Attention { heads, kv_heads, head_dim, scale, mask } = *attention;
    let cols = (heads + 2 * kv_heads) * head_dim;
    let part = |token: usize, head: usize| &qkv[token * cols + head * head_dim..][..head_dim];
    let mut output = Vec::new();
    let mut first = 0;
    for &len in lengths {
        for query in 0..len {
            for head in 0..heads {
                let shared = head * kv_heads / heads;
                let mut sum = vec![0.0; head_dim];
                let keys = (0..len).filter(|&key| visible(mask, query, key));
                let scores: Vec<(usize, f64)> = keys
                    .map(|key| {
                        let key_row = part(first + key, heads + shared);
                        let score = f64::from(scale) * dot(part(first + query, head), key_row);
                        (key, score + bias(head, query, key))
                    })
                    .collect();
                let largest = scores.iter().fold(f64::NEG_INFINITY, |max, score| max.max(score.1));
                let total: f64 = scores.iter().map(|score| (score.1 - largest).exp()).sum();
                for (key, score) in scores {
                    let weight = (score - largest).exp() / total;
                    let value = part(first + key, heads + kv_heads + shared);
                    sum.iter_mut().zip(value).for_each(|(sum, &x)| *sum += weight * f64::from(x));
                }
                output.extend(sum);
            }
        }
        first += len;
    }
    output
}

fn visible(mask: Mask, query: usize, key: usize) -> bool {
    match mask {
        Mask::Full => true,
        Mask::Causal => key <= query,
        Mask::Local { radius } => key.abs_diff(query) <= radius,
    }
}

/// One row from the rows `[n, cols]` of a span that begins its sequence.
#[cfg(feature = "cuda")]
pub(crate) fn pool(rows: &[f32], cols: usize, pooling: Pooling) -> Vec<f64> {
    pool_from(0, rows, cols, pooling)
}

/// One row from the rows `[n, cols]` of a span whose first token has index `first`.
pub(crate) fn pool_from(first: usize, rows: &[f32], cols: usize, pooling: Pooling) -> Vec<f64> {
    let count = rows.len() / cols;
    let weights: f64 = (first + 1..=first + count).map(|place| place as f64).sum();
    let column = |col: usize| (0..count).map(move |row| f64::from(rows[row * cols + col]));
    let pick = |col: usize| match pooling {
        Pooling::Mean => column(col).sum::<f64>() / count as f64,
        Pooling::Cls => column(col).next().unwrap(),
        Pooling::LastToken => column(col).next_back().unwrap(),
        Pooling::Max => column(col).fold(f64::NEG_INFINITY, f64::max),
        Pooling::MeanSqrtLength => column(col).sum::<f64>() / (count as f64).sqrt(),
        Pooling::WeightedMean => {
            let weighted = (first + 1..).zip(column(col)).map(|(place, x)| place as f64 * x);
            weighted.sum::<f64>() / weights
        }
    };
    (0..cols).map(pick).collect()
}

/// `row` divided by its length, as `torch.nn.functional.normalize` does.
pub(crate) fn normalize(row: &[f64]) -> Vec<f64> {
    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    row.iter().map(|x| x / norm).collect()
}

/// `[n, width]` inner products of each row with itself and those after it; 0 past the last.
pub(crate) fn gram(rows: &[f32], cols: usize, width: usize) -> Vec<f64> {
    let rows: Vec<&[f32]> = rows.chunks_exact(cols).collect();
    let product = |i: usize, d: usize| rows.get(i + d).map_or(0.0, |other| dot(rows[i], other));
    (0..rows.len())
        .flat_map(|i| (0..width).map(move |d| (i, d)))
        .map(|(i, d)| product(i, d))
        .collect()
}

/// Values as whole multiples, `-127..=127`, of one scale.
pub(crate) struct Quantised {
    pub(crate) levels: Vec<i64>,
    pub(crate) scale: f64,
}

/// Symmetric quantisation to 8 bits: the scale is the largest magnitude over 127, and levels are
/// the nearest, ties to even. The quotient is a product in f32 by contract.
pub(crate) fn quantise(values: &[f32]) -> Quantised {
    let largest = values.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let levels = values.iter().map(|x| (x * inverse).round_ties_even() as i64).collect();
    Quantised { levels, scale: f64::from(largest) / 127.0 }
}

/// One output of a dense layer of 8 bits without its bias: an exact sum, then its scales.
pub(crate) fn dot_i8(row: &Quantised, column: &Quantised) -> f64 {
    let products = row.levels.iter().zip(&column.levels).map(|(x, y)| x * y);
    products.sum::<i64>() as f64 * (row.scale * column.scale)
}

/// The function of an activation.
pub(crate) fn activation(activation: Activation) -> fn(f64) -> f64 {
    match activation {
        Activation::Gelu => gelu,
        Activation::GeluTanh => gelu_tanh,
        Activation::Relu => |x| x.max(0.0),
        Activation::Silu => |x| x / (1.0 + (-x).exp()),
        Activation::Tanh => f64::tanh,
    }
}

/// `x * Phi(x)`, `Phi` the normal distribution function.
pub(crate) fn gelu(x: f64) -> f64 {
    x * 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// The approximation of `gelu` by tanh.
pub(crate) fn gelu_tanh(x: f64) -> f64 {
    let inner = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

/// The error function, by a series of positive terms alone (Abramowitz and Stegun 7.1.6), which
/// loses no digits to cancellation.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}
