//! Rows of vectors on the host as they are stored: what similarities are computed from.
//!
//! Invariant: there are as many values as the shape says, so that kernels may index without checks.

use std::ops::Range;

use half::{bf16, f16};

use super::error::{Error, check_len, whole_rows};
use super::row_format::RowFormat;

/// `[len, dim]` values, row-major, in a storage format.
///
/// The score of two rows is their inner product, so that it is their cosine where rows have length
/// one. Rows of bits have the cosine of their vectors of signs.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: RowValues<'a>,
    len: usize,
    dim: usize,
}

/// The values of [`Rows`].
#[derive(Debug, Clone, Copy)]
pub(super) enum RowValues<'a> {
    /// `[len, dim]`.
    F32(&'a [f32]),
    /// `[len, dim]`.
    F16(&'a [f16]),
    /// `[len, dim]`.
    Bf16(&'a [bf16]),
    /// `[len, dim]`, and scales: `[len]`, or one for all rows.
    Int8(&'a [i8], &'a [f32]),
    /// `[len, dim.div_ceil(8)]`.
    Binary(&'a [u8]),
}

/// Refuses rows that have no scores with one another.
pub(super) fn check_comparable(a: Rows<'_>, b: Rows<'_>) -> Result<(), Error> {
    if !a.format().compares_with(b.format()) {
        return Err(Error::Formats { a: a.format(), b: b.format() });
    }
    check_len("a row to compare with", b.dim(), a.dim())
}

impl<'a> Rows<'a> {
    /// The most columns of int8: products of u8 and i8 whose sum cannot leave i32 wherever it
    /// starts.
    pub const MAX_INT8_COLUMNS: usize = i32::MAX as usize / (255 * 128);

    /// Rows of `[len, dim]` f32.
    ///
    /// # Errors
    /// [`Error::Length`] where there are no columns or `values` are not whole rows.
    pub fn f32(values: &'a [f32], dim: usize) -> Result<Self, Error> {
        Self::new(RowValues::F32(values), values.len(), dim, dim)
    }

    /// Rows of `[len, dim]` f16. Scores are those of the widened values.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn f16(values: &'a [f16], dim: usize) -> Result<Self, Error> {
        Self::new(RowValues::F16(values), values.len(), dim, dim)
    }

    /// Rows of `[len, dim]` bf16. Scores are those of the widened values.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn bf16(values: &'a [bf16], dim: usize) -> Result<Self, Error> {
        Self::new(RowValues::Bf16(values), values.len(), dim, dim)
    }

    /// Rows of `[len, dim]` i8, each of which stands for itself times its row's scale. `scales` are
    /// `[len]`, or one for all rows. A score is an exact sum of integers times both rows' scales; a
    /// band of the CPU sums in f32, which is exact as long as no sum passes 2^24.
    ///
    /// # Errors
    /// As [`f32`](Self::f32), and [`Error::Columns`] for more than
    /// [`MAX_INT8_COLUMNS`](Self::MAX_INT8_COLUMNS).
    pub fn int8(values: &'a [i8], scales: &'a [f32], dim: usize) -> Result<Self, Error> {
        let limit = Self::MAX_INT8_COLUMNS;
        if dim > limit {
            return Err(Error::Columns { format: RowFormat::Int8, columns: dim, limit });
        }
        let rows = Self::new(RowValues::Int8(values, scales), values.len(), dim, dim)?;
        if scales.len() != 1 {
            check_len("scales of int8 rows", scales.len(), rows.len)?;
        }
        Ok(rows)
    }

    /// Rows of `dim` bits, the first column in the highest bit of the first byte, as
    /// `numpy.packbits` packs them: `[len, dim.div_ceil(8)]`. The bits beyond `dim` are not looked
    /// at. A score is the cosine of the vectors of signs: `1 - 2 * hamming / dim`.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn binary(bits: &'a [u8], dim: usize) -> Result<Self, Error> {
        Self::new(RowValues::Binary(bits), bits.len(), dim.div_ceil(8), dim)
    }

    fn new(values: RowValues<'a>, count: usize, row: usize, dim: usize) -> Result<Self, Error> {
        Ok(Self { values, len: whole_rows("rows of vectors", count, row)?, dim })
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// When `rows` are not there.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let of = |row: usize| rows.start * row..rows.end * row;
        let dim = self.dim;
        let values = match self.values {
            RowValues::F32(values) => RowValues::F32(&values[of(dim)]),
            RowValues::F16(values) => RowValues::F16(&values[of(dim)]),
            RowValues::Bf16(values) => RowValues::Bf16(&values[of(dim)]),
            RowValues::Int8(values, scales) => {
                let scales = if scales.len() == 1 { scales } else { &scales[rows.clone()] };
                RowValues::Int8(&values[of(dim)], scales)
            }
            RowValues::Binary(bits) => RowValues::Binary(&bits[of(dim.div_ceil(8))]),
        };
        Self { values, len: rows.len(), dim }
    }

    pub(super) fn values(&self) -> RowValues<'a> {
        self.values
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Columns.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How values are stored.
    #[must_use]
    pub fn format(&self) -> RowFormat {
        match self.values {
            RowValues::F32(_) => RowFormat::F32,
            RowValues::F16(_) => RowFormat::F16,
            RowValues::Bf16(_) => RowFormat::Bf16,
            RowValues::Int8(..) => RowFormat::Int8,
            RowValues::Binary(_) => RowFormat::Binary,
        }
    }

    /// The values as they lie in memory.
    fn bytes(&self) -> &'a [u8] {
        match self.values {
            RowValues::F32(values) => bytemuck::cast_slice(values),
            RowValues::F16(values) => bytemuck::cast_slice(values),
            RowValues::Bf16(values) => bytemuck::cast_slice(values),
            RowValues::Int8(values, _) => bytemuck::cast_slice(values),
            RowValues::Binary(bits) => bits,
        }
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(&self) -> usize {
        match self.values {
            RowValues::F32(_) => 4 * self.dim,
            RowValues::F16(_) | RowValues::Bf16(_) => 2 * self.dim,
            RowValues::Int8(..) => self.dim,
            RowValues::Binary(_) => self.dim.div_ceil(8),
        }
    }

    /// Where row `row` is, or would be if there were so many: to be fetched, not read.
    pub(super) fn address(&self, row: usize) -> *const u8 {
        self.bytes().as_ptr().wrapping_add(row * self.row_bytes())
    }

    /// What a stored value of row `row` stands for.
    pub(super) fn scale(&self, row: usize) -> f32 {
        match self.values {
            RowValues::Int8(_, [scale]) => *scale,
            RowValues::Int8(_, scales) => scales[row],
            _ => 1.0,
        }
    }

    /// Whether both are the same rows in the same memory.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same_scales = match (self.values, other.values) {
            (RowValues::Int8(_, scales), RowValues::Int8(_, others)) => {
                std::ptr::eq(scales, others)
            }
            _ => true,
        };
        (self.format(), self.dim) == (other.format(), other.dim)
            && std::ptr::eq(self.bytes(), other.bytes())
            && same_scales
    }
}

/// Which pairs of row `i` of one matrix and row `j` of another are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// All.
    All,
    /// Those with `i != j`.
    Distinct,
    /// Those with `i < j`, for a matrix with itself: half the work.
    Upper,
}

impl Pairs {
    /// Whether rows `i` and `j` are looked at.
    pub(super) fn contain(self, i: usize, j: usize) -> bool {
        match self {
            Self::All => true,
            Self::Distinct => i != j,
            Self::Upper => i < j,
        }
    }
}
