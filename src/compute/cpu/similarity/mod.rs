//! Inner products of rows with rows, of which only what is asked for is kept.
//!
//! Products of many rows with many go through panels, a block of scores at a time; the band and
//! scans read rows as they are. Invariant: a score's bits depend on its two rows and on the
//! operation alone, in either order of the two.

mod band;
mod best;
mod blocks;
mod dots;
mod group;
mod pairwise;
mod scan;
mod stage;
mod threshold;

use self::best::BestOfProduct;
use self::blocks::Blocks;
use self::pairwise::Matrix;
use self::threshold::{AtLeast, Linked};
use super::super::error::{Error, check_len};
use super::super::rows::{Pairs, Rows, check_comparable};
use super::exec::CpuExec;

impl CpuExec {
    /// Writes the scores of all rows of `a` with all rows of `b`: `[m, n]` f32.
    ///
    /// # Errors
    /// [`Error::Length`] where the columns differ or `output` has another size,
    /// [`Error::Formats`] where rows of the two formats have no scores.
    pub fn pairwise(&self, a: Rows<'_>, b: Rows<'_>, output: &mut [f32]) -> Result<(), Error> {
        check_comparable(a, b)?;
        check_len("matrix of scores", output.len(), a.len() * b.len())?;
        let CpuExec { isa, arena, .. } = self;
        let matrix = Matrix::new(*isa, arena, output, b.len());
        Blocks::new(self, a, b).run(&matrix);
        Ok(())
    }

    /// For each row of `a` the `k` rows of `b` with the largest scores, as `(row of b, score)`, the
    /// largest first, of equal ones the smaller row. Where `b` has fewer rows, all of them.
    /// `exclude_self` leaves out row `i` of `b` for row `i` of `a`. NaN is never among the best.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn top_k(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        k: usize,
        exclude_self: bool,
    ) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        check_comparable(a, b)?;
        let blocks = Blocks::new(self, a, b);
        let (isa, group, k) = (self.isa, blocks.group, k.min(b.len()));
        let best = BestOfProduct::new(isa, a.len(), group, k, exclude_self);
        if k > 0 {
            blocks.run(&best);
        }
        Ok(best.into_sorted())
    }

    /// All `(i, j, score)` with a score of at least `least` among `pairs` of rows of `a` and `b`,
    /// sorted by `i` and `j`.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn threshold(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        min_score: f32,
        pairs: Pairs,
    ) -> Result<Vec<(u32, u32, f32)>, Error> {
        check_comparable(a, b)?;
        let found = AtLeast::new(self.isa, min_score, pairs);
        Blocks::new(self, a, b).run(&found);
        Ok(found.into_sorted())
    }

    /// Of each row the smallest row of its cluster: rows with a score of at least `least` are
    /// linked, and what links connect is a cluster. Links are forgotten as they are found.
    #[must_use]
    pub fn clusters(&self, rows: Rows<'_>, min_score: f32) -> Vec<u32> {
        let linked = Linked::new(self.isa, min_score, rows.len());
        Blocks::new(self, rows, rows).run(&linked);
        linked.into_roots()
    }
}
