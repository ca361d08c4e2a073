//! Curves over the gaps between units: cosines of both sides, smoothed, scored, and their peaks.
//!
//! A document of `n` units has `n - 1` gaps; element `g` is of the gap before unit `g + 1`.

use std::ops::{Add, Sub};

use super::spec::{Score, Smoothing};
use crate::similarity::{Band, BlockSums};

/// The cosine of up to `window` units on either side of each gap.
#[must_use]
pub fn cosines(band: &Band, sums: &BlockSums, window: usize) -> Vec<f32> {
    (1..band.len()).map(|gap| sums.gap_cosine(band, gap, window)).collect()
}

/// `curve` smoothed over an odd number of gaps, mirrored at its ends.
#[must_use]
pub fn smooth(curve: &[f32], smoothing: Smoothing, width: usize) -> Vec<f32> {
    match smoothing {
        Smoothing::None => curve.to_vec(),
        Smoothing::Average => convolve(curve, &vec![1.0 / width as f64; width]),
        Smoothing::SavitzkyGolay => savitzky_golay(curve, width, 0),
    }
}

/// The value (`derivative` 0), slope (1) or curvature (2) of the parabola that fits `width` gaps
/// around each best (Savitzky and Golay 1964), for an odd width from 3; mirrored at the ends.
#[must_use]
pub fn savitzky_golay(curve: &[f32], width: usize, derivative: usize) -> Vec<f32> {
    let m = (width / 2) as f64;
    // Sums of squares and of fourth powers of -m..=m.
    let squares = m * (m + 1.0) * (2.0 * m + 1.0) / 3.0;
    let fourths = squares * (3.0 * m * m + 3.0 * m - 1.0) / 5.0;
    let count = 2.0 * m + 1.0;
    let determinant = count * fourths - squares * squares;
    let taps = (0..width).map(|tap| {
        let x = tap as f64 - m;
        match derivative {
            0 => (fourths - squares * x * x) / determinant,
            1 => x / squares,
            _ => 2.0 * (count * x * x - squares) / determinant,
        }
    });
    convolve(curve, &taps.collect::<Vec<f64>>())
}

/// The weighted sum of each element's neighbours, `taps` an odd number; the curve is mirrored at
/// its first and last element.
fn convolve(curve: &[f32], taps: &[f64]) -> Vec<f32> {
    let (last, half) = (curve.len() as isize - 1, (taps.len() / 2) as isize);
    let value = |at: isize| {
        // Mirrored again where the taps are longer than the curve.
        let period = (2 * last).max(1);
        let at = at.rem_euclid(period);
        f64::from(curve[at.min(period - at).min(last) as usize])
    };
    let sum = |centre: isize| -> f64 {
        (centre - half..).zip(taps).map(|(at, tap)| tap * value(at)).sum()
    };
    (0..=last).map(|centre| sum(centre) as f32).collect()
}

/// How much each gap asks to be cut, from the curve of cosines.
#[must_use]
pub fn scores(cosines: &[f32], score: Score) -> Vec<f32> {
    match score {
        Score::Distance => cosines.iter().map(|cosine| 1.0 - cosine).collect(),
        Score::Depth => depths(cosines),
    }
}

/// `(left - s) + (right - s)`, `left` and `right` the nearest peaks on either side of a gap, found
/// by climbing (Hearst 1997).
pub(crate) fn depths<T>(curve: &[T]) -> Vec<T>
where
    T: Copy + PartialOrd + Add<Output = T> + Sub<Output = T>,
{
    let climb = |order: &mut dyn Iterator<Item = usize>| {
        let mut peaks = curve.to_vec();
        let mut before: Option<usize> = None;
        for gap in order {
            // Where the neighbour is lower, the gap itself is the peak.
            if let Some(before) = before.filter(|&before| curve[before] >= curve[gap]) {
                peaks[gap] = peaks[before];
            }
            before = Some(gap);
        }
        peaks
    };
    let left = climb(&mut (0..curve.len()));
    let right = climb(&mut (0..curve.len()).rev());
    let gaps = curve.iter().zip(left.into_iter().zip(right));
    gaps.map(|(&s, (left, right))| (left - s) + (right - s)).collect()
}

/// Local maxima of the scores, the highest first and of equal ones the first, none within
/// `distance` gaps of one before it.
#[must_use]
pub fn peaks(scores: &[f32], distance: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&gap| is_maximum(scores, gap)).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut suppressed = vec![false; scores.len()];
    let mut kept = Vec::new();
    for gap in order {
        if !suppressed[gap] {
            suppressed[gap.saturating_sub(distance)..scores.len().min(gap + distance + 1)]
                .fill(true);
            kept.push(gap);
        }
    }
    kept
}

/// Whether neither neighbour has a higher score.
fn is_maximum(scores: &[f32], gap: usize) -> bool {
    let near = gap.saturating_sub(1)..scores.len().min(gap + 2);
    scores[near].iter().all(|&score| score <= scores[gap])
}
