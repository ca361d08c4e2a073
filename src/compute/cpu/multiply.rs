//! Products of rows with panels of weights, divided among threads and cut to the caches.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::super::linear::Activation;
use super::buffer::{Operand, join};
use super::exec::CpuExec;
use super::math::activate_rows;
use super::packed::{Affine, Panels};
use super::simd::{Isa, MAX_LANES, Op, Simd};
use super::tile::{
    Bf16Words, F32Words, I8Words, MAX_ROWS, Product, Terms, WideBf16Words, tiles, with_rows,
};
use super::words::Words;

/// Bytes of rows that stay in the second-level cache, beside a group of panels of weights.
const INPUT_BYTES: usize = 768 << 10;
/// Bytes of panels that stay there while the rows pass by: measured.
const GROUP_BYTES: usize = 512 << 10;
/// Words of products below which handing half of them to another thread does not pay.
const MIN_SPLIT_WORDS: usize = 1 << 18;

/// Rows of `cols` words that fit into `bytes`, at least some.
pub(super) fn rows_of(bytes: usize, cols: usize) -> usize {
    (bytes / (4 * cols)).max(16)
}

/// `activation(rows x weights^T + bias)`, for a range of rows and of panels of weights.
#[derive(Clone)]
pub(super) struct Multiply<'a> {
    packed: Panels<'a>,
    input: Operand<'a>,
    rows: Range<usize>,
    panels: Range<usize>,
    activation: Option<Activation>,
}

/// Where the products of `rows.start` and the first column go, `[.., out_features]`. Tasks write
/// different rows or columns.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: tasks write different elements.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl<'a> Multiply<'a> {
    pub(super) fn new(
        packed: Panels<'a>,
        input: Operand<'a>,
        rows: usize,
        activation: Option<Activation>,
    ) -> Self {
        Self { packed, input, rows: 0..rows, panels: 0..packed.count(), activation }
    }

    /// The same of some rows.
    pub(super) fn rows(&self, rows: Range<usize>) -> Self {
        Self { rows, ..self.clone() }
    }

    /// Writes `[rows, out_features]` to `output`.
    pub(super) fn run(self, exec: &CpuExec, output: &mut [f32]) {
        self.check(exec.isa, output);
        let threads = rayon::current_num_threads();
        self.split(exec, Output(output.as_mut_ptr()), threads);
    }

    /// The same on this thread.
    pub(super) fn run_here(self, isa: Isa, output: &mut [f32]) {
        self.check(isa, output);
        let output = Output(output.as_mut_ptr());
        isa.run(Block { multiply: self, output });
    }

    /// Checks all lengths that pointers rely on.
    fn check(&self, isa: Isa, output: &[f32]) {
        let Self { packed, input, rows, panels, .. } = self;
        assert_eq!(output.len(), rows.len() * packed.out_features, "rows of products");
        assert!(rows.end * input.stride <= input.words.len(), "rows of input");
        assert!(input.stride >= packed.words.format().words(packed.in_features));
        assert!(panels.end <= packed.count(), "panels of weights");
        assert!(panels.end * packed.panel_words() <= packed.weights.len(), "words of weights");
        // Weights that were packed for another instruction set have panels of another width.
        assert_eq!(packed.width, 2 * isa.lanes(), "width of panels");
    }

    /// Divides the rows, or else the panels, among `ways` threads.
    fn split(self, exec: &CpuExec, output: Output, ways: usize) {
        let block = rows_of(INPUT_BYTES, self.input.stride);
        let width = self.panels.len() * self.packed.panel_words();
        if ways > 1 && self.rows.len() * width >= MIN_SPLIT_WORDS {
            let (rows, panels) = (self.rows.clone(), self.panels.clone());
            let (left, right, skipped) = if rows.len() > block || panels.len() < 2 {
                let half = rows.start + (rows.len() * (ways / 2) / ways).max(1);
                let right = Self { rows: half..rows.end, ..self.clone() };
                (Self { rows: rows.start..half, ..self }, right, half - rows.start)
            } else {
                let half = panels.start + (panels.len() * (ways / 2) / ways).max(1);
                let right = Self { panels: half..panels.end, ..self.clone() };
                (Self { panels: panels.start..half, ..self }, right, 0)
            };
            // SAFETY: no further than the rows that `output` has.
            let rest = Output(unsafe { output.0.add(skipped * left.packed.out_features) });
            join(
                || left.split(exec, output, ways / 2),
                || right.split(exec, rest, ways - ways / 2),
            );
            return;
        }
        for first in self.rows.clone().step_by(block) {
            let rows = first..self.rows.end.min(first + block);
            let skipped = (first - self.rows.start) * self.packed.out_features;
            // SAFETY: no further than the rows that `output` has.
            let output = Output(unsafe { output.0.add(skipped) });
            exec.isa.run(Block { multiply: self.rows(rows), output });
        }
    }
}

/// Products that one thread computes in one go.
struct Block<'a> {
    multiply: Multiply<'a>,
    output: Output,
}

impl Op for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        match self.multiply.packed.words {
            Words::F32 => self.tiles::<S, F32Words>(simd),
            Words::WideBf16 => self.tiles::<S, WideBf16Words>(simd),
            Words::Bf16 => self.tiles::<S, Bf16Words>(simd),
            Words::I8 => self.tiles::<S, I8Words>(simd),
        }
    }
}

impl Block<'_> {
    /// Tile by tile of rows, each of which meets a group of panels while it is in the first-level
    /// cache, where its rows are not too long, and they are in the second.
    #[inline(always)]
    fn tiles<S: Simd, P: Product<S>>(&self, simd: S) {
        let Multiply { packed, rows, panels, .. } = &self.multiply;
        let group = (GROUP_BYTES / (4 * packed.panel_words())).max(1);
        for start in panels.clone().step_by(group) {
            let panels = start..panels.end.min(start + group);
            for tile in tiles::<S>(rows.len()) {
                // SAFETY: `run` has checked rows, panels and output against their lengths.
                with_rows!(tile.len(), ROWS => unsafe {
                    self.tile::<S, P, ROWS>(simd, tile.start, panels.clone());
                });
            }
        }
    }

    /// The products of `ROWS` rows from the block's `first` on with some panels.
    ///
    /// # Safety
    /// Rows, panels and the output are there.
    #[inline(always)]
    unsafe fn tile<S: Simd, P: Product<S>, const ROWS: usize>(
        &self,
        simd: S,
        first: usize,
        panels: Range<usize>,
    ) {
        let Multiply { packed, input, rows, .. } = &self.multiply;
        let (width, row) = (2 * S::LANES, rows.start + first);
        let mut scales = [1.0; ROWS];
        if P::IS_SCALED {
            scales.copy_from_slice(&input.scales[row..row + ROWS]);
        }
        for panel in panels {
            let column = panel * width;
            // SAFETY: the caller's promise.
            unsafe {
                let from = input.words.as_ptr().add(row * input.stride);
                let terms = Terms { first: from, row: input.stride, term: 1 };
                let weights = packed.panel(panel).as_ptr();
                // Closures over arrays would not be compiled with the instruction set.
                let affine = [packed.affine(simd, column), packed.affine(simd, column + S::LANES)];
                let start = [P::start(simd, &affine[0]), P::start(simd, &affine[1])];
                let sums =
                    P::accumulate::<ROWS, 2>(simd, terms, weights, packed.in_features, start);
                self.store::<S, P, ROWS>(simd, [first, column], &sums, &scales, &affine);
            }
        }
    }

    /// Writes what sums stand for, activated, from row and column `at` of the output on.
    ///
    /// # Safety
    /// Row and column are there, and those that follow up to the tile's size or the last column.
    #[inline(always)]
    unsafe fn store<S: Simd, P: Product<S>, const ROWS: usize>(
        &self,
        simd: S,
        at: [usize; 2],
        sums: &[[P::Sum; 2]; ROWS],
        row_scales: &[f32; ROWS],
        affine: &[Affine<S>; 2],
    ) {
        let Multiply { packed, activation, .. } = &self.multiply;
        let (width, out) = (2 * S::LANES, packed.out_features);
        let columns = width.min(out - at[1]);
        let mut room = MaybeUninit::<[f32; MAX_ROWS * 2 * MAX_LANES]>::uninit();
        // SAFETY: the caller's promise, and the room is as large as any tile.
        unsafe {
            let to = self.output.0.add(at[0] * out + at[1]);
            // Vectors would reach beyond the last column.
            let is_whole = columns == width;
            let (tile, stride) =
                if is_whole { (to, out) } else { (room.as_mut_ptr().cast(), width) };
            for (row, sums) in sums.iter().enumerate() {
                let row_scale = simd.splat(row_scales[row]);
                for (half, &sum) in sums.iter().enumerate() {
                    let value = P::value(simd, sum, row_scale, &affine[half]);
                    simd.store(tile.add(row * stride + half * S::LANES), value);
                }
            }
            if let Some(activation) = *activation {
                activate_rows(simd, activation, tile, stride, ROWS);
            }
            if !is_whole {
                for row in 0..ROWS {
                    let from = tile.add(row * width);
                    to.add(row * out).copy_from_nonoverlapping(from, columns);
                }
            }
        }
    }
}
