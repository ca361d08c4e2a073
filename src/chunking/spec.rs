//! How a text is cut: every choice with its default, in one definition for flags, files and
//! requests.
//!
//! Invariant: a [`ChunkSpec`] that [`ChunkOptions::resolve`] gave is valid.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Segments, UnitKind};

/// A set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Chunks of an even size for search.
    #[default]
    Retrieval,
    /// Where the topic changes, however long a topic is.
    Topics,
    /// So many tokens each.
    Fixed,
    /// The largest paragraphs, lines or sentences that fit, packed full.
    Recursive,
}

/// What decides where cuts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The exact optimum of within-segment scatter (Embed-KCPD, arXiv 2601.18788).
    Kcpd,
    /// The exact optimum of the lengths of summed vectors (Alemi and Ginsparg, arXiv 1503.05543).
    Cvs,
    /// The exact optimum of similarity above the mean (Chroma's cluster chunker).
    Cluster,
    /// Peaks of the distance between the units on either side of a gap.
    Window,
    /// Token counts alone.
    Fixed,
    /// Structure of the text alone: blocks, lines and sentences, packed up to the limit.
    Recursive,
    /// Sentences, packed up to the target.
    Sentence,
}

impl Method {
    /// Whether units' vectors decide where cuts are.
    #[must_use]
    pub fn is_semantic(self) -> bool {
        matches!(self, Self::Kcpd | Self::Cvs | Self::Cluster | Self::Window)
    }
}

/// Where the vectors of units and chunks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Token states of the document, encoded once (late chunking, arXiv 2409.04701).
    Late,
    /// Each unit and each chunk is encoded by itself.
    Isolated,
}

/// What the method `window` ranks gaps by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// One minus the cosine of both sides.
    Distance,
    /// How far the cosine lies below the peaks on either side (Hearst 1997).
    Depth,
}

/// What the score of a gap must exceed to be cut, `k` being `threshold_value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Threshold {
    /// The k-th percentile, linearly interpolated.
    Percentile,
    /// Mean plus k standard deviations.
    Deviation,
    /// Mean plus k interquartile ranges.
    Iqr,
    /// Third quartile plus k interquartile ranges (Tukey's fence).
    Quartile,
    /// The k-th percentile of the score's gradient.
    Gradient,
}

/// How the curve of cosines is smoothed before it is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Not at all.
    None,
    /// The mean of neighbours.
    Average,
    /// A local polynomial of degree two (Savitzky and Golay 1964).
    SavitzkyGolay,
}

/// Defines each choice once: optional as a user types it, and resolved.
macro_rules! choices {
    ($($(#[doc = $doc:literal])+ #[arg($($arg:tt)*)] $field:ident: $type:ty,)+) => {
        /// A [`ChunkSpec`] as a user gives it: what is left out is the preset's.
        #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, clap::Args)]
        #[serde(deny_unknown_fields, default)]
        pub struct ChunkOptions {
            /// Defaults of all that is not given.
            #[arg(long, value_name = "NAME", help_heading = "Chunking")]
            pub preset: Option<Preset>,
            $($(#[doc = $doc])+ #[arg(help_heading = "Chunking", allow_negative_numbers = true, $($arg)*)]
            pub $field: Option<$type>,)+
        }

        impl ChunkOptions {
            /// These, and those of `base` where there are none.
            #[must_use]
            pub fn over(self, base: Self) -> Self {
                Self {
                    preset: self.preset.or(base.preset),
                    $($field: self.$field.or(base.$field),)+
                }
            }
        }

        /// How a text is cut into chunks, resolved and valid.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize)]
        pub struct ChunkSpec {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl ChunkSpec {
            /// These, but for what `options` give.
            pub(super) fn with(self, options: &ChunkOptions) -> Self {
                Self { $($field: options.$field.unwrap_or(self.$field),)+ }
            }
        }
    };
}

choices! {
    /// What decides where cuts are.
    #[arg(long, value_name = "NAME")]
    method: Method,
    /// Vectors from one pass over the document, or of each unit and chunk by itself.
    #[arg(long, value_name = "late|isolated", hide_possible_values = true)]
    encoding: Encoding,
    /// The most tokens of a chunk, counted alone with special tokens.
    #[arg(long, value_name = "N")]
    max_tokens: usize,
    /// The fewest tokens of a chunk, wherever the other limits allow it.
    #[arg(long, value_name = "N")]
    min_tokens: usize,
    /// The size that chunks tend to, in the same tokens.
    #[arg(long, value_name = "N")]
    target_tokens: usize,
    /// Tokens at most that a chunk repeats of the one before.
    #[arg(long, value_name = "N")]
    overlap_tokens: usize,
    /// Weight of `(tokens / target_tokens - 1)^2` against the cohesion of units.
    #[arg(long, value_name = "WEIGHT")]
    size_weight: f64,
    /// What a cut at a line's end, a paragraph or a heading gains.
    #[arg(long, value_name = "WEIGHT")]
    break_bonus: f64,
    /// How many segments: a number, target, penalty, calibrated, elbow, or threshold.
    #[arg(long, value_name = "N|RULE")]
    segments: Segments,
    /// What is never cut again: sentences, pieces by structure, or runs of tokens.
    #[arg(long, value_name = "sentence|recursive|tokens", hide_possible_values = true, hide_short_help = true)]
    units: UnitKind,
    /// The most tokens of a unit; longer ones are cut.
    #[arg(long, value_name = "N", hide_short_help = true)]
    piece_tokens: usize,
    /// The most units of a segment.
    #[arg(long, value_name = "N", hide_short_help = true)]
    max_units: usize,
    /// `C` of the penalty `C * sqrt(n ln n)` of each cut, for n units.
    #[arg(long, value_name = "C", hide_short_help = true)]
    penalty: f64,
    /// Share of gaps that a calibrated penalty may cut in shuffled units.
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    false_cuts: f64,
    /// Shuffles that a penalty is calibrated on.
    #[arg(long, value_name = "N", hide_short_help = true)]
    shuffles: usize,
    /// Seed of the shuffles.
    #[arg(long, value_name = "N", hide_short_help = true)]
    seed: u64,
    /// Units on either side of a gap that are compared.
    #[arg(long, value_name = "N", hide_short_help = true)]
    window: usize,
    /// What gaps are ranked by, of the method window.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    score: Score,
    /// What the score of a gap must exceed, of the method window.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    threshold: Threshold,
    /// `k` of the threshold: a percentile or a factor.
    #[arg(long, value_name = "K", hide_short_help = true)]
    threshold_value: f64,
    /// How the curve of cosines is smoothed, of the method window.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    smoothing: Smoothing,
    /// Gaps that are smoothed together, an odd number.
    #[arg(long, value_name = "N", hide_short_help = true)]
    smoothing_width: usize,
    /// Gaps on either side of a cut without another, of the method window.
    #[arg(long, value_name = "N", hide_short_help = true)]
    peak_distance: usize,
}

impl Preset {
    /// Its choices.
    #[must_use]
    pub fn spec(self) -> ChunkSpec {
        let retrieval = ChunkSpec {
            method: Method::Cvs,
            encoding: Encoding::Late,
            max_tokens: 256,
            min_tokens: 0,
            target_tokens: 200,
            overlap_tokens: 0,
            size_weight: 1.0,
            break_bonus: 0.3,
            segments: Segments::Penalty,
            units: UnitKind::Sentence,
            piece_tokens: 128,
            max_units: 64,
            penalty: 0.0,
            false_cuts: 0.0,
            shuffles: 8,
            seed: 0,
            window: 3,
            score: Score::Depth,
            threshold: Threshold::Deviation,
            threshold_value: 1.0,
            smoothing: Smoothing::None,
            smoothing_width: 3,
            peak_distance: 1,
        };
        match self {
            Self::Retrieval => retrieval,
            Self::Topics => ChunkSpec {
                method: Method::Kcpd,
                encoding: Encoding::Isolated,
                max_tokens: 1_000_000,
                size_weight: 0.0,
                break_bonus: 0.0,
                segments: Segments::Calibrated,
                max_units: 512,
                ..retrieval
            },
            Self::Fixed => ChunkSpec {
                method: Method::Fixed,
                units: UnitKind::Tokens,
                piece_tokens: 256,
                target_tokens: 256,
                ..retrieval
            },
            Self::Recursive => ChunkSpec {
                method: Method::Recursive,
                units: UnitKind::Recursive,
                piece_tokens: 256,
                target_tokens: 256,
                ..retrieval
            },
        }
    }
}

impl ChunkSpec {
    /// The most tokens of a unit, beside `special_tokens` around a chunk. Units of structure or of
    /// tokens may be whole chunks, so the target is their limit too.
    #[must_use]
    pub fn unit_tokens(&self, special_tokens: usize) -> usize {
        let chunk = match self.units {
            UnitKind::Sentence => self.max_tokens,
            UnitKind::Recursive | UnitKind::Tokens => self.target_tokens - self.overlap_tokens,
        };
        self.piece_tokens.min(chunk.saturating_sub(special_tokens)).max(1)
    }
}
