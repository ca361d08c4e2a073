//! Segments as their lengths, and those that are blind to the text.

/// One segment.
#[must_use]
pub fn no_cut(units: usize) -> Vec<usize> {
    every(units, units.max(1))
}

/// Segments of `length` units, the last one of what is left.
///
/// # Panics
/// When `length` is 0.
#[must_use]
pub fn every(units: usize, length: usize) -> Vec<usize> {
    (0..units).step_by(length).map(|start| length.min(units - start)).collect()
}

/// The segments that start at `cuts`, ascending gaps from 1 to `units - 1`, and at 0.
pub(super) fn lengths(units: usize, cuts: &[usize]) -> Vec<usize> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(units));
    starts.zip(ends).map(|(start, end)| end - start).filter(|&length| length > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::{every, no_cut};

    #[test]
    fn segments_cover_all_units() {
        assert_eq!(every(7, 3), [3, 3, 1]);
        assert_eq!(every(6, 3), [3, 3]);
        assert_eq!(no_cut(5), [5]);
        assert!(no_cut(0).is_empty());
    }
}
