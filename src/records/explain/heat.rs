//! The band as cells of a heat map: positions along the document by units apart.

use std::ops::Range;

use plotters::style::RGBColor;

use crate::similarity::Band;

/// Steps of colour. Few, as neighbouring cells of one step are drawn as one.
pub(super) const LEVELS: usize = 12;

/// From low to high similarity: `ColorBrewer`'s Blues.
const COLORS: [[f64; 3]; 5] = [
    [247.0, 251.0, 255.0],
    [198.0, 219.0, 239.0],
    [107.0, 174.0, 214.0],
    [33.0, 113.0, 181.0],
    [8.0, 48.0, 107.0],
];

/// The colour of a level.
pub(super) fn color(level: usize) -> RGBColor {
    let at = level as f64 * (COLORS.len() - 1) as f64 / (LEVELS - 1) as f64;
    let lower = (at as usize).min(COLORS.len() - 2);
    let share = at - lower as f64;
    let [red, green, blue] = [0, 1, 2].map(|channel| {
        let (low, high) = (COLORS[lower][channel], COLORS[lower + 1][channel]);
        (low + share * (high - low)).round() as u8
    });
    RGBColor(red, green, blue)
}

/// Mean similarities of some units of a document.
///
/// A pair of units stands in the middle between the two, as high as they are apart: the pairs
/// within a segment are a triangle that stands on it, as in maps of chromosome contacts (Hi-C).
pub(super) struct Heat {
    pub(super) units: Range<usize>,
    pub(super) distances: usize,
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// `[rows, columns]`; NaN where there is no pair.
    cells: Vec<f32>,
}

impl Heat {
    /// The pairs around `units`, from 1 to `distances` apart, as `[rows, columns]` cells.
    pub(super) fn new(
        band: &Band,
        units: Range<usize>,
        distances: usize,
        columns: usize,
        rows: usize,
    ) -> Self {
        let mut heat = Self { units, distances, columns, rows, cells: Vec::new() };
        for row in 0..rows {
            let apart = heat.row(row);
            for column in 0..columns {
                let halves = heat.halves(column)..heat.halves(column + 1);
                heat.cells.push(mean(band, &halves, &apart));
            }
        }
        heat
    }

    /// The units apart of a row.
    pub(super) fn row(&self, row: usize) -> Range<usize> {
        1 + row * self.distances / self.rows..1 + (row + 1) * self.distances / self.rows
    }

    /// Where a column begins, in half units: pairs an odd number apart stand between two units.
    pub(super) fn halves(&self, column: usize) -> usize {
        2 * self.units.start + column * 2 * self.units.len() / self.columns
    }

    /// The runs of cells of a row that have one level, with it.
    pub(super) fn runs(&self, row: usize, (low, high): (f32, f32)) -> Vec<(usize, Range<usize>)> {
        let cells = &self.cells[row * self.columns..(row + 1) * self.columns];
        let level = |cell: f32| {
            let share = (cell - low) / (high - low);
            (!cell.is_nan()).then(|| ((share * LEVELS as f32).max(0.0) as usize).min(LEVELS - 1))
        };
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        for (column, level) in cells.iter().map(|&cell| level(cell)).enumerate() {
            match (level, runs.last_mut()) {
                (Some(level), Some((last, run))) if *last == level && run.end == column => {
                    run.end += 1;
                }
                (Some(level), _) => runs.push((level, column..column + 1)),
                (None, _) => {}
            }
        }
        runs
    }
}

/// The mean of the pairs of a cell; NaN where there is none.
fn mean(band: &Band, halves: &Range<usize>, apart: &Range<usize>) -> f32 {
    let (mut sum, mut count) = (0.0_f64, 0_u32);
    for distance in apart.clone() {
        // A pair covers two half units: twice its first unit plus the distance, and the next.
        let first = halves.start.saturating_sub(distance) / 2;
        let end = halves.end.saturating_sub(distance).div_ceil(2);
        let end = end.min(band.len().saturating_sub(distance));
        for unit in first..end {
            sum += f64::from(band.similarity(unit, unit + distance));
            count += 1;
        }
    }
    if count > 0 { (sum / f64::from(count)) as f32 } else { f32::NAN }
}

/// The values that the colours span: all but the outermost fiftieth on either side.
pub(super) fn range(heats: &[Heat]) -> (f32, f32) {
    let cells = heats.iter().flat_map(|heat| &heat.cells).copied();
    let mut cells: Vec<f32> = cells.filter(|cell| cell.is_finite()).collect();
    cells.sort_by(f32::total_cmp);
    let outer = cells.len() / 50;
    match (cells.get(outer), cells.len().checked_sub(outer + 1).and_then(|at| cells.get(at))) {
        (Some(&low), Some(&high)) if high - low > 0.01 => (low, high),
        (Some(&low), _) => (low, low + 0.01),
        _ => (0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Heat, range};
    use crate::similarity::Band;

    /// Similarities that tell pairs apart.
    fn band(n: usize, width: usize) -> Band {
        let value = |at: usize| ((at * 7_919) % 1_009) as f32 / 1_009.0;
        Band::new((0..n * width).map(value).collect(), width)
    }

    proptest! {
        #[test]
        fn a_cell_is_the_mean_of_the_pairs_that_stand_in_it(
            (n, width) in (1_usize..60, 2_usize..20),
            (start, len) in (0_usize..40, 1_usize..60),
            shape in (1_usize..40, 1_usize..20),
        ) {
            let band = band(n, width);
            let distances = width - 1;
            let (columns, rows) = (shape.0.min(2 * len), shape.1.min(distances));
            let heat = Heat::new(&band, start..start + len, distances, columns, rows);
            for row in 0..rows {
                for column in 0..columns {
                    let left = heat.halves(column) as f64 / 2.0;
                    let right = heat.halves(column + 1) as f64 / 2.0;
                    let mut pairs = Vec::new();
                    for i in 0..n {
                        for j in i + 1..n.min(i + width) {
                            // Each is one unit wide, around the middle of both units' middles.
                            let middle = (i + j + 1) as f64 / 2.0;
                            let stands = middle - 0.5 < right && middle + 0.5 > left;
                            if stands && heat.row(row).contains(&(j - i)) {
                                pairs.push(f64::from(band.similarity(i, j)));
                            }
                        }
                    }
                    let cell = heat.cells[row * columns + column];
                    let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
                    prop_assert_eq!(cell.is_nan(), pairs.is_empty());
                    prop_assert!(pairs.is_empty() || (f64::from(cell) - mean).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn rows_and_columns_cover_all_and_runs_join_equal_cells() {
        let band = Band::new([1.0, 0.0, 0.9, 0.9].repeat(50), 4);
        let heat = Heat::new(&band, 0..50, 3, 100, 3);
        assert_eq!((heat.row(0).start, heat.row(2).end), (1, 4));
        assert_eq!((heat.halves(0), heat.halves(100)), (0, 100));
        // Units one apart stand between the first unit's middle and the last one's.
        assert_eq!(heat.runs(0, (0.0, 1.0)), [(0, 1..99)]);
        assert_eq!(heat.runs(1, (0.0, 1.0)), [(10, 2..98)]);
        assert_eq!(range(&[heat]), (0.0, 0.9));
    }
}
