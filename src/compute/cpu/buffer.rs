//! Activations: f32 rows, and the same rows in the narrower format that dense layers read.

use super::super::buffer::Buffers;
use super::super::error::{Error, whole_rows};
use super::super::pool::Span;
use super::arena::{Arena, Block};
use super::exec::CpuExec;
use super::narrow::{Format, NarrowRows};
use super::simd::{Isa, Simd};

/// A matrix `[rows, cols]`, row-major: in f32, in a narrower format for the dense layers that
/// read it next, or both.
pub struct Buffer {
    rows: usize,
    cols: usize,
    f32: Option<Block>,
    narrow: Option<Narrow>,
}

/// Rows in a format other than f32.
pub(super) struct Narrow {
    format: Format,
    /// `[rows, format.words(cols)]`.
    words: Block,
    /// `[rows]`.
    scales: Block,
}

/// Rows as a dense layer reads them.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    /// `[rows, stride]`.
    pub(super) words: &'a [u32],
    pub(super) stride: usize,
    /// `[rows]`.
    pub(super) scales: &'a [f32],
}

impl Buffer {
    /// f32 rows of arbitrary contents, and room for them in `format` where it is another.
    pub(super) fn take(arena: &Arena, rows: usize, cols: usize, format: Format) -> Self {
        let f32 = Some(arena.take(rows * cols));
        Self { rows, cols, f32, narrow: Narrow::take(arena, rows, cols, format) }
    }

    /// Rows of arbitrary contents in `format` alone.
    pub(super) fn take_only(arena: &Arena, rows: usize, cols: usize, format: Format) -> Self {
        let narrow = Narrow::take(arena, rows, cols, format);
        let f32 = narrow.is_none().then(|| arena.take(rows * cols));
        Self { rows, cols, f32, narrow }
    }

    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The f32 rows.
    ///
    /// # Errors
    /// When there are only narrow ones, which are for dense layers alone.
    pub(super) fn f32(&self) -> Result<&[f32], Error> {
        self.f32.as_deref().ok_or(Error::Narrow)
    }

    /// Prepares a change of the f32 rows, which makes the narrow ones stale: in their place there
    /// is room for rows in `format`, or nothing where that is f32.
    ///
    /// # Errors
    /// When there are no f32 rows to change.
    pub(super) fn renew(&mut self, arena: &Arena, format: Format) -> Result<(), Error> {
        self.f32()?;
        self.narrow = Narrow::take(arena, self.rows, self.cols, format);
        Ok(())
    }

    /// The rows to write.
    pub(super) fn rows_mut(&mut self) -> Rows<'_> {
        Rows {
            first: 0,
            len: self.rows,
            cols: self.cols,
            f32: self.f32.as_deref_mut(),
            narrow: self.narrow.as_mut().map(Narrow::rows_mut),
        }
    }

    /// The rows in `format`, made in `room` where they are not there yet.
    pub(super) fn operand<'a>(
        &'a self,
        isa: Isa,
        arena: &Arena,
        format: Format,
        room: &'a mut Option<Narrow>,
    ) -> Result<Operand<'a>, Error> {
        if let Some(narrow) = self.narrow.as_ref().filter(|narrow| narrow.format == format) {
            return Ok(narrow.operand(self.cols));
        }
        let f32 = self.f32.as_ref().ok_or(Error::Narrow)?;
        let Some(narrow) = Narrow::take(arena, self.rows, self.cols, format) else {
            return Ok(Operand { words: f32.words(), stride: self.cols, scales: &[] });
        };
        let narrow = room.insert(narrow);
        narrow.rows_mut().write(isa, f32, self.cols);
        Ok(narrow.operand(self.cols))
    }

    /// The f32 rows of `span`, its tokens being rows.
    pub(super) fn span(&self, cu_seqlens: &[u32], span: Span) -> Result<&[f32], Error> {
        let tokens = span.rows(cu_seqlens, self.rows)?;
        Ok(&self.f32()?[tokens.start * self.cols..tokens.end * self.cols])
    }
}

impl Buffers for CpuExec {
    type Buffer = Buffer;

    fn upload(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = whole_rows("rows from the host", data.len(), cols)?;
        let mut buffer = Buffer::take(&self.arena, rows, cols, Format::F32);
        buffer.rows_mut().into_f32().copy_from_slice(data);
        Ok(buffer)
    }
}

impl Narrow {
    /// Room for rows in `format`; none for f32.
    fn take(arena: &Arena, rows: usize, cols: usize, format: Format) -> Option<Self> {
        let words = format.words(cols);
        (format != Format::F32).then(|| Self {
            format,
            words: arena.take(rows * words),
            scales: arena.take(rows),
        })
    }

    fn rows_mut(&mut self) -> NarrowRows<'_> {
        let Self { format, words, scales } = self;
        NarrowRows { format: *format, words: words.words_mut(), scales }
    }

    fn operand(&self, cols: usize) -> Operand<'_> {
        let stride = self.format.words(cols);
        Operand { words: self.words.words(), stride, scales: &self.scales }
    }
}

/// Both, in parallel where the pool has threads for it: one of a single thread would only hand
/// them over.
pub(super) fn join<A: Send, B: Send>(
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    if rayon::current_num_threads() == 1 { (a(), b()) } else { rayon::join(a, b) }
}

/// Rows of a buffer to write, from row `first` on.
pub(super) struct Rows<'a> {
    pub(super) first: usize,
    pub(super) len: usize,
    pub(super) cols: usize,
    /// `[rows, cols]`; none where the buffer has only narrow rows.
    pub(super) f32: Option<&'a mut [f32]>,
    pub(super) narrow: Option<NarrowRows<'a>>,
}

/// Why rows that are written in f32 have room for that.
const HAS_F32: &str = "buffers have f32 rows unless they were taken for a dense layer alone";

impl<'a> Rows<'a> {
    /// The f32 rows.
    ///
    /// # Panics
    /// Where there are none, as in buffers of [`Buffer::take_only`].
    pub(super) fn into_f32(self) -> &'a mut [f32] {
        self.f32.expect(HAS_F32)
    }

    /// The first `rows` and the rest.
    pub(super) fn split_at(self, rows: usize) -> (Self, Self) {
        let Self { first, cols, .. } = self;
        let (f32, f32_rest) = self.f32.map(|f32| f32.split_at_mut(rows * cols)).unzip();
        let (narrow, narrow_rest) = self.narrow.map(|narrow| narrow.split_at(rows, cols)).unzip();
        let rest = self.len - rows;
        (
            Self { first, len: rows, cols, f32, narrow },
            Self { first: first + rows, len: rest, cols, f32: f32_rest, narrow: narrow_rest },
        )
    }

    /// Row `index` of the f32 rows.
    ///
    /// # Panics
    /// Where there are none, as in buffers of [`Buffer::take_only`].
    #[inline(always)]
    pub(super) fn row(&mut self, index: usize) -> &mut [f32] {
        let f32 = self.f32.as_deref_mut().expect(HAS_F32);
        &mut f32[index * self.cols..(index + 1) * self.cols]
    }

    /// Writes row `index` of the narrow rows, if there are such, from the f32 row.
    #[inline(always)]
    pub(super) fn narrow<S: Simd>(&mut self, simd: S, index: usize) {
        if let (Some(narrow), Some(f32)) = (&mut self.narrow, &self.f32) {
            narrow.write_row(simd, index, &f32[index * self.cols..(index + 1) * self.cols]);
        }
    }

    /// Runs `work` over blocks of `block` rows, in parallel.
    pub(super) fn for_each_block<W>(self, block: usize, work: &W) -> Result<(), Error>
    where
        W: Fn(Rows<'_>) -> Result<(), Error> + Sync,
    {
        let blocks = self.len.div_ceil(block);
        if blocks <= 1 {
            return if self.len == 0 { Ok(()) } else { work(self) };
        }
        let (left, right) = self.split_at(blocks / 2 * block);
        let (left, right) =
            join(|| left.for_each_block(block, work), || right.for_each_block(block, work));
        left.and(right)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::Arena;
    use super::super::narrow::Format;
    use super::Buffer;

    #[test]
    fn blocks_cover_every_row_once() {
        let arena = Arena::default();
        for rows in [0, 1, 4, 5, 63] {
            let mut buffer = Buffer::take(&arena, rows, 3, Format::U8);
            buffer.rows_mut().f32.unwrap().fill(0.0);
            let work = |rows: super::Rows<'_>| {
                let narrow = rows.narrow.unwrap();
                assert_eq!((narrow.words.len(), narrow.scales.len()), (rows.len, rows.len));
                for (index, row) in rows.f32.unwrap().chunks_exact_mut(3).enumerate() {
                    row[0] += (rows.first + index) as f32 + 1.0;
                }
                Ok(())
            };
            buffer.rows_mut().for_each_block(4, &work).unwrap();
            let firsts: Vec<f32> = buffer.f32().unwrap().iter().step_by(3).copied().collect();
            let expected: Vec<f32> = (1..=rows).map(|row| row as f32).collect();
            assert_eq!(firsts, expected);
        }
    }
}
