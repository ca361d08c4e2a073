//! What a vector is sent as: numbers, base64, or quantised as sentence-transformers'
//! `quantize_embeddings` does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::similarity::quantize::row_bits;

/// What a vector is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OutputType {
    Float,
    /// Little-endian f32.
    Base64,
    /// Of each component the step that it lies in, of 255 between the ends of [`range`].
    Int8,
    Uint8,
    /// A bit for each component, set where it is above 0, the first in the highest bit of the first
    /// byte; bytes less 128.
    Binary,
    /// The same bytes as they are.
    Ubinary,
}

/// A vector as it is sent.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Vector<'a> {
    Float(&'a [f32]),
    Base64(String),
    Signed(Vec<i8>),
    Unsigned(Vec<u8>),
}

/// The largest magnitude that the steps of int8 and uint8 reach for vectors of length one: four
/// times the root of the mean square of a component. It depends on the number of dimensions alone,
/// so that vectors of different requests can be compared.
fn range(dimensions: usize) -> f32 {
    (4.0 / (dimensions.max(1) as f32).sqrt()).min(1.0)
}

/// `row` as `output`.
pub(super) fn encode(row: &[f32], output: OutputType) -> Vector<'_> {
    match output {
        OutputType::Float => Vector::Float(row),
        OutputType::Base64 => {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            Vector::Base64(STANDARD.encode(bytes))
        }
        OutputType::Int8 => {
            Vector::Signed(steps(row).map(|step| (i16::from(step) - 128) as i8).collect())
        }
        OutputType::Uint8 => Vector::Unsigned(steps(row).collect()),
        OutputType::Binary => {
            Vector::Signed(row_bits(row).map(|byte| (i16::from(byte) - 128) as i8).collect())
        }
        OutputType::Ubinary => Vector::Unsigned(row_bits(row).collect()),
    }
}

/// The step of each component; what lies outside the range is at its end.
fn steps(row: &[f32]) -> impl Iterator<Item = u8> + '_ {
    let end = range(row.len());
    let step = 2.0 * end / 255.0;
    row.iter().map(move |x| ((x + end) / step).clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::{OutputType, Vector, encode};

    #[test]
    fn bytes_are_those_of_quantize_embeddings() {
        // quantize_embeddings(row, precision, ranges=[[-1] * 10, [1] * 10]) of
        // sentence-transformers 5.6, whose range is that of up to 16 dimensions.
        let row = [0.0, 0.5, -0.5, 0.99, -0.99, 0.1, -0.1, 0.0039, -1.0, 0.9];
        let unsigned = vec![127, 191, 63, 253, 1, 140, 114, 127, 0, 242];
        let signed = unsigned.iter().map(|&x: &u8| (i16::from(x) - 128) as i8).collect();
        assert_eq!(encode(&row, OutputType::Uint8), Vector::Unsigned(unsigned));
        assert_eq!(encode(&row, OutputType::Int8), Vector::Signed(signed));
        assert_eq!(
            encode(&row, OutputType::Ubinary),
            Vector::Unsigned(vec![0b0101_0101, 0b0100_0000])
        );
        assert_eq!(encode(&row, OutputType::Binary), Vector::Signed(vec![-43, -64]));
        // Nothing wraps round.
        assert_eq!(encode(&[2.0, -2.0], OutputType::Uint8), Vector::Unsigned(vec![255, 0]));
    }
}
