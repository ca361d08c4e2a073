//! Segments found by a specification, a baseline or another program, against gold ones.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::baselines::{LangchainRule, c99_words, every, langchain, no_cut, texttiling};
use super::datasets::GoldDocument;
use super::error::Error;
use super::metrics::segmentation::SegmentationScores;
use crate::chunking::{ChunkSpec, Encoding, Segments};
use crate::embeddings::{EmbedOptions, Engine};
use crate::pipeline::Document;
use crate::records::Run;

/// Units that two boundaries may be apart and still match in F1.
pub const TOLERANCE: usize = 2;

/// What is measured of a document, in order.
pub const SEGMENTATION_METRICS: [&str; 5] =
    ["pk", "window_diff", "boundary_similarity", "f1@2", "segments"];

/// What to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// One segment.
    None,
    /// Segments of so many units.
    Every(usize),
    /// See [`texttiling`].
    Texttiling,
    /// C99 on words, see [`c99_words`].
    C99,
    /// A rule of LangChain's on the vectors of units encoded each by itself.
    Langchain(LangchainRule),
}

impl FromStr for Baseline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, detail) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
        let known = match (name, detail) {
            ("none", None) => Some(Self::None),
            ("texttiling", None) => Some(Self::Texttiling),
            ("c99", None) => Some(Self::C99),
            ("every", Some(units)) => {
                units.parse().ok().filter(|&units| units > 0).map(Self::Every)
            }
            ("langchain", None) => Some(Self::Langchain(LangchainRule::default())),
            ("langchain", Some(rule)) => {
                LangchainRule::from_str(rule, false).ok().map(Self::Langchain)
            }
            _ => None,
        };
        known.ok_or_else(|| {
            "baselines are none, every:N, texttiling, c99 and langchain, the last one also with a \
             rule, langchain:percentile, standard-deviation, interquartile or gradient"
                .to_owned()
        })
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Every(units) => write!(f, "every:{units}"),
            Self::Texttiling => f.write_str("texttiling"),
            Self::C99 => f.write_str("c99"),
            Self::Langchain(rule) => {
                let value = rule.to_possible_value();
                write!(f, "langchain:{}", value.as_ref().map_or("", |value| value.get_name()))
            }
        }
    }
}

/// A way to find segments.
#[derive(Debug, Clone, PartialEq)]
pub enum Segmenter {
    /// As specified.
    Spec(ChunkSpec),
    /// As specified, with as many segments as the gold has, or the nearest number that the limits
    /// allow. Methods that read no vectors know no number and cut as ever.
    KnownCount(ChunkSpec),
    /// A baseline.
    Baseline(Baseline),
    /// Segments from elsewhere, those of each document.
    Predictions(Vec<Vec<usize>>),
}

impl Segmenter {
    /// The encoding of the vectors that it reads, if it does.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        match self {
            Self::Spec(spec) | Self::KnownCount(spec) => Some(spec.encoding),
            Self::Baseline(Baseline::Langchain(_)) => Some(Encoding::Isolated),
            Self::Baseline(_) | Self::Predictions(_) => None,
        }
    }
}

/// Scores each of `segmenters` on all of `gold`: [`SEGMENTATION_METRICS`] of each document, F1 with
/// [`TOLERANCE`]. Each document is encoded once for
/// each encoding that is asked for. `engine` may be missing where no segmenter reads vectors;
/// `done` is told the bytes and the encoder's tokens of each document.
///
/// # Errors
/// When a segmenter reads vectors and there is no model, or the device or queue fails.
pub fn evaluate_segmentation(
    engine: Option<&dyn Engine>,
    dataset: &str,
    gold: &[GoldDocument],
    segmenters: &[(String, Segmenter)],
    options: &EmbedOptions,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Run>, Error> {
    let mut runs: Vec<Run> = segmenters.iter().map(|(name, _)| Run::new(name, dataset)).collect();
    for (index, document) in gold.iter().enumerate() {
        let mut readings = Readings { engine, options, document, read: Vec::new() };
        for ((_, segmenter), run) in segmenters.iter().zip(&mut runs) {
            let found = readings.segment(segmenter, index)?;
            let scores = SegmentationScores::of(&document.segments, &found, TOLERANCE);
            let SegmentationScores { pk, window_diff, boundary_similarity, f1 } = scores;
            let values = [pk, window_diff, boundary_similarity, f1, found.len() as f64];
            run.add(&document.id, SEGMENTATION_METRICS.into_iter().zip(values));
        }
        let tokens = readings.read.iter().map(|(_, read)| read.encoder_tokens()).sum();
        done(document.text.len(), tokens);
    }
    Ok(runs)
}

/// A document, read once for each encoding.
struct Readings<'a> {
    engine: Option<&'a dyn Engine>,
    options: &'a EmbedOptions,
    document: &'a GoldDocument,
    read: Vec<(Encoding, Document<'a>)>,
}

impl<'a> Readings<'a> {
    /// Lengths of the segments of the document, number `index` of the data set.
    fn segment(&mut self, segmenter: &Segmenter, index: usize) -> Result<Vec<usize>, Error> {
        let (gold, units) = (self.document, self.document.units.len());
        match segmenter {
            Segmenter::Spec(spec) => self.cut(spec),
            Segmenter::KnownCount(spec) => {
                let segments = Segments::Count(gold.segments.len());
                self.cut(&ChunkSpec { segments, ..*spec })
            }
            Segmenter::Baseline(Baseline::None) => Ok(no_cut(units)),
            Segmenter::Baseline(Baseline::Every(length)) => Ok(every(units, *length)),
            Segmenter::Baseline(Baseline::Texttiling) => Ok(texttiling(&gold.unit_texts())),
            Segmenter::Baseline(Baseline::C99) => Ok(c99_words(&gold.unit_texts())),
            Segmenter::Baseline(Baseline::Langchain(rule)) => {
                let (engine, document) = self.read(Encoding::Isolated)?;
                Ok(langchain(document.vectors(), engine.model().dimensions(), *rule))
            }
            Segmenter::Predictions(segments) => Ok(segments[index].clone()),
        }
    }

    fn cut(&mut self, spec: &ChunkSpec) -> Result<Vec<usize>, Error> {
        let (engine, document) = self.read(spec.encoding)?;
        let cuts = document.cut(engine, spec)?;
        let mut start = 0;
        Ok(cuts.ends.iter().map(|&end| end - std::mem::replace(&mut start, end)).collect())
    }

    fn read(&mut self, encoding: Encoding) -> Result<(&'a dyn Engine, &Document<'a>), Error> {
        let engine = self.engine.ok_or(Error::NoModel)?;
        let at = if let Some(at) = self.read.iter().position(|(read, _)| *read == encoding) {
            at
        } else {
            let GoldDocument { text, units, .. } = self.document;
            let read = Document::with_units(engine, text, units, encoding, self.options)?;
            self.read.push((encoding, read));
            self.read.len() - 1
        };
        Ok((engine, &self.read[at].1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Baseline, LangchainRule};

    #[test]
    fn baselines_are_read_as_they_are_written() {
        let all = [
            Baseline::None,
            Baseline::Every(7),
            Baseline::Texttiling,
            Baseline::C99,
            Baseline::Langchain(LangchainRule::StandardDeviation),
        ];
        for baseline in all {
            assert_eq!(baseline.to_string().parse(), Ok(baseline));
        }
        assert_eq!("langchain".parse(), Ok(Baseline::Langchain(LangchainRule::Percentile)));
        for wrong in ["every", "every:0", "every:x", "c99:2", "langchain:best", "", "None"] {
            assert!(wrong.parse::<Baseline>().is_err(), "{wrong}");
        }
    }
}
