//! Weights in the layout of the micro-kernel, packed once when a model is loaded.

use rayon::prelude::*;

use super::super::dtype::Dtype;
use super::super::error::Error;
use super::super::linear::DenseWeights;
use super::exec::CpuExec;
use super::narrow::{Format, NarrowRows, ZERO_POINT};
use super::simd::{Isa, Simd};
use super::weights::Weights;
use super::words::Words;

/// The largest inner size whose sums of bytes, u8 by i8, cannot leave i32 wherever they start.
const MAX_I8_FEATURES: usize = i32::MAX as usize / (255 * 128);

/// A dense layer: weights `[out, in]` as panels of two vectors of columns: `[panel][word][column]`.
pub struct Packed {
    words: Words,
    pub(super) in_features: usize,
    pub(super) out_features: usize,
    /// Columns of a panel.
    width: usize,
    weights: Weights,
    /// `[panels * width]`, zeros where the layer has none.
    bias: Vec<f32>,
    /// `[panels * width]`: what a byte of the column's weights stands for.
    scales: Vec<f32>,
    /// `[panels * width]`, i32: to be added to sums of bytes, as rows are stored off by
    /// [`ZERO_POINT`].
    offsets: Vec<u32>,
}

/// Rows as panels of columns, which a product reads: a layer's weights, or rows of vectors.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    pub(super) words: Words,
    pub(super) in_features: usize,
    pub(super) out_features: usize,
    /// Columns of a panel.
    pub(super) width: usize,
    /// `[panels][word][column]`.
    pub(super) weights: &'a [u32],
    /// `[panels * width]`, as the next two; see [`Packed`].
    pub(super) bias: &'a [f32],
    pub(super) scales: &'a [f32],
    pub(super) offsets: &'a [u32],
}

/// What makes outputs of the products of a vector of columns: see [`Packed`].
pub(super) struct Affine<S: Simd> {
    pub(super) bias: S::F32,
    pub(super) scale: S::F32,
    pub(super) offset: S::I32,
}

impl Packed {
    pub(super) fn new(
        exec: &CpuExec,
        dtype: Dtype,
        parts: &[DenseWeights<'_>],
    ) -> Result<Self, Error> {
        let isa = exec.isa;
        let [in_features, out_features] = DenseWeights::features(parts)?;
        let words = Words::of(isa, dtype);
        if words == Words::I8 && in_features > MAX_I8_FEATURES {
            let limit = MAX_I8_FEATURES + 1;
            return Err(Error::Index { what: "int8 input features", index: in_features, limit });
        }
        let rows = parts.iter().flat_map(|part| part.weight.chunks_exact(in_features));
        let rows: Vec<&[f32]> = rows.collect();
        let width = 2 * isa.lanes();
        let padded = out_features.next_multiple_of(width);
        let mut bias = DenseWeights::biases(parts).unwrap_or_default();
        bias.resize(padded, 0.0);
        let mut packed = Self {
            words,
            in_features,
            out_features,
            width,
            weights: exec.weights.take(padded * words.words(in_features))?,
            bias,
            scales: vec![1.0; padded],
            offsets: vec![0; padded],
        };
        packed.fill(isa, &rows);
        Ok(packed)
    }

    /// Narrows each row as activations are, and deals its words out to the panel's column.
    fn fill(&mut self, isa: Isa, rows: &[&[f32]]) {
        let Self { words, in_features, width, .. } = *self;
        let panel_words = self.panel_words();
        let panels = self.weights.words_mut().par_chunks_mut(panel_words);
        let scales = self.scales.par_chunks_mut(width);
        let offsets = self.offsets.par_chunks_mut(width);
        let panels = panels.zip(rows.par_chunks(width)).zip(scales.zip(offsets));
        panels.for_each(|((panel, rows), (scales, offsets))| {
            let mut narrow = vec![0; words.words(in_features)];
            for (column, row) in rows.iter().enumerate() {
                let to = panel[column..].iter_mut().step_by(width);
                let format = words.weight_format();
                if format == Format::F32 {
                    to.zip(*row).for_each(|(to, x)| *to = x.to_bits());
                    continue;
                }
                let scale = &mut scales[column..=column];
                NarrowRows { format, words: &mut narrow, scales: scale }.write(
                    isa,
                    row,
                    in_features,
                );
                if words == Words::I8 {
                    offsets[column] = (-ZERO_POINT * to_i8(&mut narrow)) as u32;
                }
                to.zip(&narrow).for_each(|(to, &word)| *to = word);
            }
        });
    }

    /// How these weights read rows.
    pub(super) fn format(&self) -> Format {
        self.words.format()
    }

    /// Words of a panel.
    fn panel_words(&self) -> usize {
        self.width * self.words.words(self.in_features)
    }

    pub(super) fn panels(&self) -> Panels<'_> {
        let Self { words, in_features, out_features, width, .. } = *self;
        let (bias, scales, offsets) = (&self.bias, &self.scales, &self.offsets);
        let weights = self.weights.words();
        Panels { words, in_features, out_features, width, weights, bias, scales, offsets }
    }
}

impl Panels<'_> {
    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.out_features.div_ceil(self.width)
    }

    /// Words of a panel.
    #[inline]
    pub(super) fn panel_words(&self) -> usize {
        self.width * self.words.words(self.in_features)
    }

    /// Of the vector of columns from `column` on.
    #[inline(always)]
    pub(super) fn affine<S: Simd>(&self, simd: S, column: usize) -> Affine<S> {
        let offsets = &self.offsets[column..column + S::LANES];
        Affine {
            bias: simd.load_head(&self.bias[column..]),
            scale: simd.load_head(&self.scales[column..]),
            // SAFETY: as many as a vector has lanes.
            offset: unsafe { simd.load_i32(offsets.as_ptr()) },
        }
    }

    #[inline]
    pub(super) fn panel(&self, index: usize) -> &[u32] {
        &self.weights[index * self.panel_words()..][..self.panel_words()]
    }
}

/// Makes bytes that are off by [`ZERO_POINT`] signed, and sums them; what pads the row becomes 0.
fn to_i8(words: &mut [u32]) -> i32 {
    const HIGHEST_BITS: u32 = u32::from_le_bytes([ZERO_POINT as u8; 4]);
    let mut sum = 0;
    for word in words {
        *word ^= HIGHEST_BITS;
        sum += word.to_le_bytes().map(|byte| i32::from(byte as i8)).iter().sum::<i32>();
    }
    sum
}
