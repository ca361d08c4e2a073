//! Similarities of stored rows on every instruction set, against loops in f64.

mod files;
mod formats;
mod found;
mod matrices;

use chunkflow::compute::Isa;
use chunkflow::similarity::{Device, RowFormat, Rows, bits, int8};
use half::{bf16, f16};

use crate::exec::random;

const FORMATS: [RowFormat; 5] =
    [RowFormat::F32, RowFormat::F16, RowFormat::Bf16, RowFormat::Int8, RowFormat::Binary];

/// Rows of one matrix, rows of another and columns: no multiples of tiles, and some groups' worth.
const SHAPES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (2, 3, 31),
    (13, 33, 3),
    (33, 14, 8),
    (17, 30, 384),
    (115, 130, 33),
    (3, 1_100, 2),
    (530, 2, 5),
];

/// A device for each instruction set that this processor has.
fn devices() -> impl Iterator<Item = (Isa, Device)> {
    Isa::available().map(|isa| (isa, Device::cpu(isa)))
}

/// Rows in a storage format, and what they stand for.
#[derive(Clone)]
struct Stored {
    format: RowFormat,
    dim: usize,
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    int8: (Vec<i8>, Vec<f32>),
    bits: Vec<u8>,
}

impl Stored {
    fn new(format: RowFormat, values: Vec<f32>, dim: usize) -> Self {
        let quantised = int8(&values, dim).unwrap();
        Self {
            format,
            dim,
            f16: values.iter().map(|&x| f16::from_f32(x)).collect(),
            bf16: values.iter().map(|&x| bf16::from_f32(x)).collect(),
            int8: (quantised.values, quantised.scales),
            bits: bits(&values, dim).unwrap(),
            f32: values,
        }
    }

    fn random(format: RowFormat, seed: u64, len: usize, dim: usize) -> Self {
        Self::new(format, random(seed, len * dim, 1.0), dim)
    }

    fn rows(&self) -> Rows<'_> {
        match self.format {
            RowFormat::F32 => Rows::f32(&self.f32, self.dim),
            RowFormat::F16 => Rows::f16(&self.f16, self.dim),
            RowFormat::Bf16 => Rows::bf16(&self.bf16, self.dim),
            RowFormat::Int8 => Rows::int8(&self.int8.0, &self.int8.1, self.dim),
            RowFormat::Binary => Rows::binary(&self.bits, self.dim),
        }
        .unwrap()
    }

    fn len(&self) -> usize {
        self.f32.len() / self.dim
    }

    /// What stands in row `row` and column `column`, without a row's scale.
    fn value(&self, row: usize, column: usize) -> f64 {
        let at = row * self.dim + column;
        match self.format {
            RowFormat::F32 => f64::from(self.f32[at]),
            RowFormat::F16 => self.f16[at].to_f64(),
            RowFormat::Bf16 => self.bf16[at].to_f64(),
            RowFormat::Int8 => f64::from(self.int8.0[at]),
            RowFormat::Binary => {
                let byte = self.bits[row * self.dim.div_ceil(8) + column / 8];
                f64::from(i32::from(byte >> (7 - column % 8) & 1) * 2 - 1)
            }
        }
    }

    /// The score of a row with a row of `other`.
    fn score(&self, row: usize, other: &Self, other_row: usize) -> f64 {
        let columns = 0..self.dim;
        let sum: f64 =
            columns.map(|column| self.value(row, column) * other.value(other_row, column)).sum();
        match self.format {
            RowFormat::Int8 => {
                sum * f64::from(self.int8.1[row]) * f64::from(other.int8.1[other_row])
            }
            RowFormat::Binary => sum / self.dim as f64,
            _ => sum,
        }
    }

    /// `[len, other.len]`.
    fn scores(&self, other: &Self) -> Vec<f64> {
        let rows = (0..self.len()).flat_map(|i| (0..other.len()).map(move |j| (i, j)));
        rows.map(|(i, j)| self.score(i, other, j)).collect()
    }
}

/// What f32 sums of products of values up to 1 may be off by.
fn tolerance(dim: usize) -> f64 {
    2e-7 * (dim as f64 + 1.0)
}

/// Runs `test` for every instruction set and format.
fn on_all(test: impl Fn(&str, &Device, RowFormat)) {
    for (isa, device) in devices() {
        for format in FORMATS {
            test(&format!("{isa} {format}"), &device, format);
        }
    }
}
