//! How a segmentation compares with a reference: Pk, WindowDiff, boundary similarity, F1.
//!
//! A segmentation is the lengths of its segments in units, in order; none is 0. With a gap before
//! each unit but the first, a boundary is a gap where a segment starts. Equal to `segeval` 2.0.11
//! wherever that gives a value.

use serde::Serialize;

/// All measures of one document, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SegmentationScores {
    /// See [`pk`].
    pub pk: f64,
    /// See [`window_diff`].
    pub window_diff: f64,
    /// See [`boundary_similarity`].
    pub boundary_similarity: f64,
    /// See [`boundary_f1`].
    pub f1: f64,
}

impl SegmentationScores {
    /// Compares `hypothesis` with `reference`; boundaries up to `tolerance` units apart may match
    /// in F1.
    ///
    /// # Panics
    /// When the two differ in units, or a segment is empty.
    #[must_use]
    pub fn of(reference: &[usize], hypothesis: &[usize], tolerance: usize) -> Self {
        Self {
            pk: pk(reference, hypothesis),
            window_diff: window_diff(reference, hypothesis),
            boundary_similarity: boundary_similarity(reference, hypothesis),
            f1: boundary_f1(reference, hypothesis, tolerance),
        }
    }
}

/// The probability that two units `k` apart are wrongly held to be in one segment or in two
/// (Beeferman, Berger and Lafferty 1999). Less is better; 0 where no two units are `k` apart.
///
/// # Panics
/// When the two differ in units, or a segment is empty.
#[must_use]
pub fn pk(reference: &[usize], hypothesis: &[usize]) -> f64 {
    window_error(reference, hypothesis, |r, h| (r == 0) != (h == 0))
}

/// The share of windows of `k` gaps that hold another number of boundaries than they should
/// (Pevzner and Hearst 2002). Less is better; 0 where no two units are `k` apart.
///
/// # Panics
/// When the two differ in units, or a segment is empty.
#[must_use]
pub fn window_diff(reference: &[usize], hypothesis: &[usize]) -> f64 {
    window_error(reference, hypothesis, |r, h| r != h)
}

fn window_error(
    reference: &[usize],
    hypothesis: &[usize],
    differs: impl Fn(usize, usize) -> bool,
) -> f64 {
    let units = count_units(reference, hypothesis);
    let k = window(reference);
    let (r, h) = (boundary_counts(reference), boundary_counts(hypothesis));
    let windows = units.saturating_sub(k);
    let wrong = (0..windows).filter(|&i| differs(r[i + k] - r[i], h[i + k] - h[i])).count();
    if windows == 0 { 0.0 } else { wrong as f64 / windows as f64 }
}

/// Half the mean length of the reference's segments, halves to even, at least 2.
fn window(reference: &[usize]) -> usize {
    let (units, parts) = (reference.iter().sum::<usize>(), 2 * reference.len().max(1));
    let (whole, rest) = (units / parts, units % parts);
    let up = 2 * rest > parts || (2 * rest == parts && whole % 2 == 1);
    (whole + usize::from(up)).max(2)
}

/// Boundary similarity B (Fournier 2013) with transpositions of up to two gaps: one minus the
/// edits that turn one set of boundaries into the other, per boundary or pair of them. A boundary
/// one gap off costs half an edit. 1 where neither side has a boundary.
///
/// # Panics
/// When the two differ in units, or a segment is empty.
#[must_use]
pub fn boundary_similarity(reference: &[usize], hypothesis: &[usize]) -> f64 {
    let units = count_units(reference, hypothesis);
    let (r, h) = (boundary_gaps(reference), boundary_gaps(hypothesis));
    let (mut matches, mut transposed, mut missed) = (0_usize, 0_usize, 0_usize);
    let mut gap = 1;
    while gap < units {
        let swapped =
            gap + 1 < units && r[gap] != h[gap] && r[gap + 1] != h[gap + 1] && r[gap] != r[gap + 1];
        if swapped {
            transposed += 1;
            gap += 2;
            continue;
        }
        matches += usize::from(r[gap] && h[gap]);
        missed += usize::from(r[gap] != h[gap]);
        gap += 1;
    }
    let all = matches + transposed + missed;
    let edits = missed as f64 + transposed as f64 / 2.0;
    if all == 0 { 1.0 } else { 1.0 - edits / all as f64 }
}

/// F1 of boundaries, each matched with at most one that is up to `tolerance` units away, from the
/// first on. 1 where neither side has a boundary.
///
/// # Panics
/// When the two differ in units, or a segment is empty.
#[must_use]
pub fn boundary_f1(reference: &[usize], hypothesis: &[usize], tolerance: usize) -> f64 {
    count_units(reference, hypothesis);
    let (r, h) = (boundaries(reference), boundaries(hypothesis));
    if r.is_empty() && h.is_empty() {
        return 1.0;
    }
    let (mut i, mut j, mut matches) = (0, 0, 0_usize);
    while i < r.len() && j < h.len() {
        if r[i].abs_diff(h[j]) <= tolerance {
            (i, j, matches) = (i + 1, j + 1, matches + 1);
        } else if r[i] < h[j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    2.0 * matches as f64 / (r.len() + h.len()) as f64
}

/// Units of both, checked.
fn count_units(reference: &[usize], hypothesis: &[usize]) -> usize {
    let [r, h] = [reference, hypothesis].map(|lengths| lengths.iter().sum::<usize>());
    assert_eq!(r, h, "both segmentations have the same units");
    assert!(!reference.contains(&0) && !hypothesis.contains(&0), "no segment is empty");
    r
}

/// Gaps with a boundary, ascending.
fn boundaries(lengths: &[usize]) -> Vec<usize> {
    let mut end = 0;
    let mut ends: Vec<usize> = lengths
        .iter()
        .map(|length| {
            end += length;
            end
        })
        .collect();
    ends.pop();
    ends
}

/// `[units]` whether gap `g` has a boundary; there is no gap 0.
fn boundary_gaps(lengths: &[usize]) -> Vec<bool> {
    let mut gaps = vec![false; lengths.iter().sum()];
    for gap in boundaries(lengths) {
        gaps[gap] = true;
    }
    gaps
}

/// `[units]` boundaries in gaps 1 to `g`.
fn boundary_counts(lengths: &[usize]) -> Vec<usize> {
    let mut count = 0;
    let gaps = boundary_gaps(lengths).into_iter();
    gaps.map(|boundary| {
        count += usize::from(boundary);
        count
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SegmentationScores, boundary_f1, boundary_similarity, pk, window, window_diff};

    #[test]
    fn the_window_rounds_halves_to_even() {
        // Means of 5, 7, 9 and 1: halves are 2.5, 3.5, 4.5 and 0.5.
        for (lengths, k) in
            [(&[5, 5][..], 2), (&[7, 7], 4), (&[9], 4), (&[1, 1, 1], 2), (&[5, 6], 3)]
        {
            assert_eq!(window(lengths), k, "{lengths:?}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Pair {
        reference: Vec<usize>,
        hypothesis: Vec<usize>,
        pk: f64,
        window_diff: f64,
        boundary_similarity: f64,
        /// Of boundaries in the very same gap.
        f1: f64,
    }

    #[test]
    fn measures_are_those_of_segeval() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/segeval.json");
        let pairs: Vec<Pair> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        assert!(pairs.len() >= 2_000);
        for pair in pairs {
            let scores = SegmentationScores::of(&pair.reference, &pair.hypothesis, 0);
            let found = [scores.pk, scores.window_diff, scores.boundary_similarity, scores.f1];
            let expected = [pair.pk, pair.window_diff, pair.boundary_similarity, pair.f1];
            for (found, expected) in found.into_iter().zip(expected) {
                let (r, h) = (&pair.reference, &pair.hypothesis);
                assert!((found - expected).abs() < 1e-12, "{r:?} {h:?}: {scores:?}");
            }
        }
    }

    #[test]
    fn what_segeval_leaves_open_is_defined() {
        assert_eq!(
            SegmentationScores::of(&[4], &[4], 2),
            SegmentationScores { pk: 0.0, window_diff: 0.0, boundary_similarity: 1.0, f1: 1.0 }
        );
        for lengths in [&[1][..], &[1, 1]] {
            assert!(pk(lengths, lengths).abs() < 1e-12);
            assert!(window_diff(lengths, lengths).abs() < 1e-12);
        }
    }

    #[test]
    fn an_f1_match_is_used_once() {
        // Boundaries 10 against 9 and 11: one match, two boundaries found, one in the reference.
        assert!((boundary_f1(&[10, 10], &[9, 2, 9], 2) - 2.0 / 3.0).abs() < 1e-12);
        assert!(boundary_f1(&[10, 10], &[7, 13], 2).abs() < 1e-12);
        assert!((boundary_f1(&[10, 10], &[8, 12], 2) - 1.0).abs() < 1e-12);
        assert!(boundary_f1(&[20], &[10, 10], 2).abs() < 1e-12);
    }

    fn lengths_of(gaps: &[bool]) -> Vec<usize> {
        let mut lengths = vec![1];
        for &gap in gaps {
            if gap { lengths.push(1) } else { *lengths.last_mut().unwrap() += 1 }
        }
        lengths
    }

    /// The most one-to-one matches there are, by augmenting paths.
    fn most_matches(r: &[usize], h: &[usize], tolerance: usize) -> usize {
        fn find(
            i: usize,
            r: &[usize],
            h: &[usize],
            t: usize,
            seen: &mut [bool],
            of: &mut [Option<usize>],
        ) -> bool {
            for j in 0..h.len() {
                if r[i].abs_diff(h[j]) <= t && !seen[j] {
                    seen[j] = true;
                    if of[j].is_none_or(|other| find(other, r, h, t, seen, of)) {
                        of[j] = Some(i);
                        return true;
                    }
                }
            }
            false
        }
        let mut of = vec![None; h.len()];
        (0..r.len())
            .filter(|&i| find(i, r, h, tolerance, &mut vec![false; h.len()], &mut of))
            .count()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn measures_equal_their_definitions(
            gaps in prop::collection::vec((any::<bool>(), any::<bool>()), 0..40),
            tolerance in 0_usize..4,
        ) {
            let (r, h): (Vec<bool>, Vec<bool>) = gaps.iter().copied().unzip();
            let (reference, hypothesis) = (lengths_of(&r), lengths_of(&h));
            let (n, k) = (r.len() + 1, window(&reference));
            // Gap g stands at index g - 1.
            let b = |gaps: &[bool], i: usize| gaps[i..i + k].iter().filter(|&&gap| gap).count();
            let windows: Vec<usize> = (0..n.saturating_sub(k)).collect();
            let share = |wrong: usize| if windows.is_empty() { 0.0 } else { wrong as f64 / windows.len() as f64 };
            let wrong = windows.iter().filter(|&&i| (b(&r, i) == 0) != (b(&h, i) == 0)).count();
            prop_assert!((pk(&reference, &hypothesis) - share(wrong)).abs() < 1e-12);
            let wrong = windows.iter().filter(|&&i| b(&r, i) != b(&h, i)).count();
            prop_assert!((window_diff(&reference, &hypothesis) - share(wrong)).abs() < 1e-12);

            let places = |gaps: &[bool]| -> Vec<usize> { (0..gaps.len()).filter(|&g| gaps[g]).collect() };
            let (r, h) = (places(&r), places(&h));
            if !(r.is_empty() && h.is_empty()) {
                let matches = most_matches(&r, &h, tolerance);
                let f1 = 2.0 * matches as f64 / (r.len() + h.len()) as f64;
                prop_assert!((boundary_f1(&reference, &hypothesis, tolerance) - f1).abs() < 1e-12);
            }
            let similarity = boundary_similarity(&reference, &hypothesis);
            prop_assert!((0.0..=1.0).contains(&similarity));
            prop_assert!((similarity - boundary_similarity(&hypothesis, &reference)).abs() < 1e-12);
        }
    }
}
