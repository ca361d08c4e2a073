//! The words of units as numbers, for the baselines that count them.

use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation;

/// Letters of a stem.
const STEM_LETTERS: usize = 6;
/// English words that say nothing of a topic. Other languages keep theirs.
const STOP_WORDS: &str = "a about above after again against all also am an and any are as at be \
    because been before being below between both but by can cannot could did do does doing down \
    during each either else ever every few for from further get had has have having he her here \
    hers herself him himself his how however i if in into is it its itself just let like made make \
    many may me might mine more most much must my myself neither no nor not now of off on once one \
    only onto or other our ours out over own per quite rather said same say says shall she should \
    since so some still such than that the their theirs them themselves then there these they this \
    those though through thus to too two under until up upon us very was we well were what when \
    where whether which while who whom whose why will with within without would yet you your yours";

/// The terms of units: a number for each word, `None` where it is a stop word.
pub(super) struct Terms {
    /// By unit, in order.
    pub(super) units: Vec<Vec<Option<usize>>>,
}

impl Terms {
    /// Words by Unicode's rules (UAX 29), in lower case, reduced to their stems.
    pub(super) fn of(units: &[&str]) -> Self {
        let stop_words: Vec<&str> = STOP_WORDS.split_whitespace().collect();
        let mut numbers = HashMap::new();
        let mut number = |word: &str| {
            let word = word.to_lowercase();
            if stop_words.contains(&word.as_str()) {
                return None;
            }
            let next = numbers.len();
            Some(*numbers.entry(stem(&word).to_owned()).or_insert(next))
        };
        let units = units.iter().map(|unit| unit.unicode_words().map(&mut number).collect());
        Self { units: units.collect() }
    }
}

/// How often each term occurs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts(HashMap<usize, f64>);

impl Counts {
    /// Counts `terms`; stop words do not count.
    pub(super) fn of(terms: impl IntoIterator<Item = Option<usize>>) -> Self {
        let mut counts = HashMap::new();
        for term in terms.into_iter().flatten() {
            *counts.entry(term).or_insert(0.0) += 1.0;
        }
        Self(counts)
    }

    /// Cosine of the two; 0 where one is empty. Counts are whole numbers, so that their sums are
    /// exact in whatever order.
    pub(super) fn cosine(&self, other: &Self) -> f64 {
        let squares = |counts: &Self| counts.0.values().map(|x| x * x).sum::<f64>();
        let norm = (squares(self) * squares(other)).sqrt();
        let products = self.0.iter().filter_map(|(term, x)| Some(x * other.0.get(term)?));
        if norm > 0.0 { products.sum::<f64>() / norm } else { 0.0 }
    }
}

/// The first letters of `word`: what most inflected forms of a word have in common. Measured on
/// Choi's 700 documents, C99 is as good with it as published with Porter's rules, in any language.
fn stem(word: &str) -> &str {
    word.char_indices().nth(STEM_LETTERS).map_or(word, |(end, _)| &word[..end])
}

#[cfg(test)]
mod tests {
    use super::{Counts, Terms};

    #[test]
    fn stop_words_count_nowhere_and_forms_of_a_word_are_one() {
        let terms = Terms::of(&["The Evaluations, of it.", "EVALUATED! Größenordnung", ""]);
        assert_eq!(terms.units, [vec![None, Some(0), None, None], vec![Some(0), Some(1)], vec![]]);
    }

    #[test]
    fn cosines_are_of_counts() {
        let a = Counts::of([Some(0), Some(0), Some(1), None]);
        let b = Counts::of([Some(0), Some(2)]);
        assert!((a.cosine(&b) - 2.0 / 10.0_f64.sqrt()).abs() < 1e-12);
        assert!((a.cosine(&a) - 1.0).abs() < 1e-12);
        assert!(a.cosine(&Counts::default()).abs() < 1e-12);
    }
}
