//! Attention with every mask and bias, over lengths around its panels and its blocks of 128 keys.

use chunkflow::compute::{Attend, Attention, BiasWeights, Buffers, CpuExec, Dtype, Isa, Mask};

use crate::exec::{check, cu_seqlens, host, random, spoil};
use crate::support::{bits, naive};

const LENGTHS: [usize; 8] = [1, 17, 33, 127, 128, 129, 257, 600];

const MASKS: [Mask; 5] = [
    Mask::Full,
    Mask::Causal,
    Mask::Local { radius: 3 },
    Mask::Local { radius: 100 },
    Mask::Local { radius: 300 },
];

fn geometry(heads: (usize, usize), head_dim: usize, mask: Mask) -> Attention {
    let (heads, kv_heads) = heads;
    Attention { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), mask }
}

fn rows(lengths: &[usize], attention: &Attention) -> Vec<f32> {
    random(1, lengths.iter().sum::<usize>() * attention.qkv_dim(), 3.0)
}

fn run(
    exec: &CpuExec,
    qkv: &[f32],
    lengths: &[usize],
    attention: &Attention,
    bias: Option<BiasWeights<'_>>,
) -> Vec<f32> {
    let bias = bias.map(|weights| exec.load_bias(weights).unwrap());
    let input = exec.upload(qkv, attention.qkv_dim()).unwrap();
    let output = exec.attention(&input, &cu_seqlens(lengths), attention, bias.as_ref()).unwrap();
    host(exec, output, attention.heads * attention.head_dim)
}

/// Every instruction set against one expectation.
fn check_attention(
    attention: &Attention,
    weights: Option<BiasWeights<'_>>,
    bias: impl Fn(usize, usize, usize) -> f64,
) {
    let qkv = rows(&LENGTHS, attention);
    let expected = naive::attention(&qkv, &LENGTHS, attention, bias);
    for isa in Isa::available() {
        let exec = CpuExec::with(isa, Dtype::F32);
        spoil(&exec);
        let output = run(&exec, &qkv, &LENGTHS, attention, weights);
        let what = format!("{isa} {attention:?} bias {weights:.0?}");
        check(&what, &output, &expected, 3e-6);
    }
}

#[test]
fn head_dimensions_and_masks() {
    for head_dim in [5, 16, 32, 64, 96, 128] {
        for mask in MASKS {
            check_attention(&geometry((1, 1), head_dim, mask), None, |_, _, _| 0.0);
        }
    }
}

#[test]
fn heads_that_share_keys() {
    for heads in [(4, 2), (3, 1)] {
        check_attention(&geometry(heads, 16, Mask::Full), None, |_, _, _| 0.0);
    }
}

#[test]
fn biases_by_distance() {
    let slopes = [0.5, 0.01];
    let (radius, values) = (40, random(2, 2 * 81, 3.0));
    for mask in MASKS {
        let attention = geometry((2, 1), 16, mask);
        check_attention(&attention, Some(BiasWeights::Slopes(&slopes)), |head, query, key| {
            -f64::from(slopes[head]) * key.abs_diff(query) as f64
        });
        let table = BiasWeights::Table { values: &values, radius };
        check_attention(&attention, Some(table), |head, query, key| {
            let distance = (key as i64 - query as i64).clamp(-40, 40) + 40;
            f64::from(values[head * 81 + distance as usize])
        });
    }
}

/// A score that later blocks dwarf leaves nothing behind, and one that dwarfs them stays.
#[test]
fn scores_that_grow_and_shrink_across_blocks() {
    let attention = geometry((1, 1), 16, Mask::Full);
    let cols = attention.qkv_dim();
    for grows in [true, false] {
        let mut qkv = random(3, 600 * cols, 1.0);
        for (index, row) in qkv.chunks_exact_mut(cols).enumerate() {
            let factor = if grows { index } else { 599 - index } as f32 / 10.0;
            row[16..32].iter_mut().for_each(|x| *x *= factor);
        }
        let expected = naive::attention(&qkv, &[600], &attention, |_, _, _| 0.0);
        for isa in Isa::available() {
            let exec = CpuExec::with(isa, Dtype::F32);
            let output = run(&exec, &qkv, &[600], &attention, None);
            // Scores of 150 are rounded by 8e-6.
            check(&format!("{isa}, growing {grows}"), &output, &expected, 2e-5);
        }
    }
}

#[test]
fn no_sequence_depends_on_its_neighbours() {
    // A thread's share of 100 tokens alone is less than that in company.
    let lengths = [257, 1, 600, 40, 100, 255];
    for mask in MASKS {
        let attention = geometry((2, 2), 20, mask);
        let qkv = rows(&lengths, &attention);
        for isa in Isa::available() {
            let exec = CpuExec::with(isa, Dtype::F32);
            let together = run(&exec, &qkv, &lengths, &attention, None);
            let (mut input, mut output) = (&qkv[..], &together[..]);
            for length in lengths {
                let (own, rest) = input.split_at(length * attention.qkv_dim());
                let (same, others) = output.split_at(length * 40);
                let alone = run(&exec, own, &[length], &attention, None);
                assert_eq!(bits(&alone), bits(same), "{isa} {mask:?} {length}");
                (input, output) = (rest, others);
            }
        }
    }
}
