//! How the number of segments is chosen: a number or the name of a rule.
//!
//! Invariant: what is printed or serialised parses to the same.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How the number of segments is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segments {
    /// As many as this, or the nearest that the limits allow.
    Count(usize),
    /// So many that their mean size is nearest to the target.
    Target,
    /// Those whose cuts pay a penalty of `penalty * sqrt(n ln n)`.
    Penalty,
    /// The least penalty that would cut shuffled units rarely.
    Calibrated,
    /// The elbow of cost against number.
    Elbow,
    /// Gaps above a threshold, of the method `window`.
    Threshold,
}

/// The names of [`Segments`] that are no number.
const SEGMENTS: [(&str, Segments); 5] = [
    ("target", Segments::Target),
    ("penalty", Segments::Penalty),
    ("calibrated", Segments::Calibrated),
    ("elbow", Segments::Elbow),
    ("threshold", Segments::Threshold),
];

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, SEGMENTS.iter().find(|(_, known)| known == self)) {
            (Self::Count(count), _) => write!(f, "{count}"),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => Err(fmt::Error),
        }
    }
}

impl FromStr for Segments {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = SEGMENTS.iter().find(|(name, _)| *name == text);
        known
            .map(|(_, segments)| *segments)
            .or_else(|| text.parse().ok().map(Self::Count))
            .ok_or_else(|| {
                format!("`{text}` is no number, target, penalty, calibrated, elbow or threshold")
            })
    }
}

impl Serialize for Segments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => count.serialize(serializer),
            named => serializer.collect_str(named),
        }
    }
}

impl<'de> Deserialize<'de> for Segments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrName)
    }
}

/// Reads what [`Segments`] serialises to; an error names the value and what is expected.
struct NumberOrName;

impl Visitor<'_> for NumberOrName {
    type Value = Segments;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, target, penalty, calibrated, elbow or threshold")
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<Segments, E> {
        let wrong = |_| E::invalid_value(Unexpected::Unsigned(count), &self);
        usize::try_from(count).map(Segments::Count).map_err(wrong)
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<Segments, E> {
        let wrong = |_| E::invalid_value(Unexpected::Signed(count), &self);
        usize::try_from(count).map(Segments::Count).map_err(wrong)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Segments, E> {
        name.parse().map_err(E::custom)
    }
}
