//! TextTiling (Hearst 1997): words in blocks on either side of a gap, compared; cuts where the
//! similarity falls deepest below its neighbouring peaks.

use super::lengths::lengths;
use super::words::{Counts, Terms};
use crate::chunking::depths;
use crate::chunking::statistics::Summary;

/// Words of a token sequence, and sequences of a block (Hearst's w and k).
const SEQUENCE_WORDS: usize = 20;
const BLOCK_SEQUENCES: usize = 10;
/// Cuts are at least so many sequences apart.
const MIN_DISTANCE: usize = 4;

/// Cuts `units` by their words. Scores stand between sequences of 20 words, stop words included,
/// and are averaged over three; a cut, where the depth is above its mean less half a standard
/// deviation, moves to the nearest unit.
#[must_use]
pub fn texttiling(units: &[&str]) -> Vec<usize> {
    let terms = Terms::of(units).units;
    let words: Vec<Option<usize>> = terms.iter().flatten().copied().collect();
    let sequences: Vec<&[Option<usize>]> = words.chunks(SEQUENCE_WORDS).collect();
    let scores: Vec<f64> = (1..sequences.len()).map(|gap| block_cosine(&sequences, gap)).collect();
    let depths = depths(&smooth(&scores));

    let mut ends = Vec::new();
    let mut end = 0;
    for unit in &terms {
        end += unit.len();
        ends.push(end);
    }
    let nearest = |gap: usize| {
        let word = gap * SEQUENCE_WORDS;
        let gaps = 1..units.len();
        gaps.min_by_key(|unit| ends[unit - 1].abs_diff(word))
    };
    // The score before sequence 1 is the first.
    let mut cuts: Vec<usize> = deepest(&depths).filter_map(|score| nearest(score + 1)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    lengths(units.len(), &cuts)
}

/// Cosine of the blocks before and after `gap`, as many sequences of each as there are of both.
fn block_cosine(sequences: &[&[Option<usize>]], gap: usize) -> f64 {
    let size = BLOCK_SEQUENCES.min(gap).min(sequences.len() - gap);
    let block = |block: &[&[Option<usize>]]| Counts::of(block.iter().copied().flatten().copied());
    block(&sequences[gap - size..gap]).cosine(&block(&sequences[gap..gap + size]))
}

/// Each value averaged with its neighbours.
fn smooth(scores: &[f64]) -> Vec<f64> {
    let around = |i: usize| &scores[i.saturating_sub(1)..(i + 2).min(scores.len())];
    (0..scores.len()).map(|i| Summary::of(around(i)).mean).collect()
}

/// Indices of depths above the cutoff, deepest first, of those too near to one another the deeper.
fn deepest(depths: &[f64]) -> impl Iterator<Item = usize> {
    let summary = Summary::of(depths);
    let cutoff = summary.mean - summary.sd / 2.0;
    let mut order: Vec<usize> =
        (0..depths.len()).filter(|&i| depths[i] > 0.0 && depths[i] > cutoff).collect();
    order.sort_by(|&a, &b| depths[b].total_cmp(&depths[a]));
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if kept.iter().all(|other| other.abs_diff(i) >= MIN_DISTANCE) {
            kept.push(i);
        }
    }
    kept.into_iter()
}

#[cfg(test)]
mod tests {
    use super::{deepest, depths, smooth, texttiling};

    #[test]
    fn depths_reach_to_the_first_peaks() {
        let found = depths(&[0.5_f64, 0.9, 0.4, 0.6, 0.7, 0.2]);
        for (depth, expected) in found.iter().zip([0.4, 0.0, 0.8, 0.1, 0.0, 0.5]) {
            assert!((depth - expected).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn depths_of_a_long_climb_take_one_pass() {
        let count = 1 << 20;
        let climb: Vec<f64> = (0..count).map(|i| f64::from(i) / f64::from(count)).collect();
        let found = depths(&climb);
        assert!((found[0] - climb[climb.len() - 1]).abs() < 1e-12);
    }

    #[test]
    fn smoothing_averages_what_is_there() {
        let found = smooth(&[0.0, 0.6, 0.9]);
        for (value, expected) in found.iter().zip([0.3, 0.5, 0.75]) {
            assert!((value - expected).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn of_near_cuts_the_deeper_stays() {
        let found: Vec<usize> = deepest(&[0.1, 0.9, 0.0, 0.0, 0.8, 0.7, 0.0, 0.0]).collect();
        assert_eq!(found, [1, 5]);
    }

    #[test]
    fn a_change_of_words_is_found() {
        let topics = ["river water boat fish stream flows", "engine piston valve fuel gear motor"];
        // Six words a unit; twenty units on each topic, in changing order.
        let unit = |index: usize| {
            let words: Vec<&str> = topics[index / 20].split(' ').collect();
            (0..6).map(|i| words[(i * 5 + index) % 6]).collect::<Vec<_>>().join(" ")
        };
        let units: Vec<String> = (0..40).map(unit).collect();
        let units: Vec<&str> = units.iter().map(String::as_str).collect();
        assert_eq!(texttiling(&units), [20, 20]);
        assert_eq!(texttiling(&units[..3]), [3]);
        assert!(texttiling(&[]).is_empty());
    }
}
