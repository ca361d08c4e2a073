//! What can go wrong below the encoder, and the checks of arguments that every form makes alike.

use super::dtype::Dtype;
use super::row_format::RowFormat;

/// What can go wrong below the encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation of candle failed.
    #[error("tensor operation failed")]
    Candle(#[from] candle_core::Error),
    /// The system gives no memory for weights.
    #[error("no memory for weights")]
    Memory(#[source] std::io::Error),
    /// An operation that needs f32 was given activations that are held for dense layers alone.
    #[error("rows are held in a narrow format, f32 is needed")]
    Narrow,
    /// No device of the kind asked for can be used here.
    #[error("no CUDA device: {0}")]
    NoDevice(String),
    /// A device without this dtype.
    #[error("dtype is {dtype}, {device} has: {supported}")]
    Dtype {
        /// As asked for.
        dtype: Dtype,
        /// The device in words.
        device: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// The device has no memory left for this.
    #[error("out of device memory: cannot {call}")]
    DeviceMemory {
        /// What was tried.
        call: String,
    },
    /// The device is gone until the process restarts.
    #[error("the device is lost: cannot {call}: {problem}")]
    DeviceLost {
        /// What was tried.
        call: &'static str,
        /// The driver's words.
        problem: String,
    },
    /// A call to the device failed.
    #[error("cannot {call}: {problem}")]
    Device {
        /// What was tried.
        call: &'static str,
        /// The driver's words.
        problem: String,
    },
    /// An index lies outside its table.
    #[error("{what} {index} is outside 0..{limit}")]
    Index {
        /// What the index names, such as `token id`.
        what: &'static str,
        /// The value given.
        index: usize,
        /// The number of entries.
        limit: usize,
    },
    /// Rows that are too long for sums in their format.
    #[error("rows of {format} have {columns} columns, at most {limit} are compared")]
    Columns {
        /// As they are stored.
        format: RowFormat,
        /// The number given.
        columns: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Rows of two formats that have no scores.
    #[error("rows are {a} and {b}: both floating point or both the same are needed")]
    Formats {
        /// Of the first.
        a: RowFormat,
        /// Of the second.
        b: RowFormat,
    },
    /// A length does not match what the operation needs.
    #[error("{what} has {actual} values, expected {expected}")]
    Length {
        /// What was measured.
        what: &'static str,
        /// The length given.
        actual: usize,
        /// The length needed.
        expected: usize,
    },
}

/// Checks a length, naming what was measured.
pub(super) fn check_len(what: &'static str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual == expected { Ok(()) } else { Err(Error::Length { what, actual, expected }) }
}

/// The number of rows of `cols` that `len` values make up.
///
/// # Errors
/// [`Error::Length`] where there are no columns or the last row is not whole.
pub(super) fn whole_rows(what: &'static str, len: usize, cols: usize) -> Result<usize, Error> {
    if cols == 0 {
        return Err(Error::Length { what: "row", actual: 0, expected: 1 });
    }
    check_len(what, len, len / cols * cols)?;
    Ok(len / cols)
}

/// Refuses indices outside of `0..limit`, naming the first.
pub(super) fn check_indices(
    what: &'static str,
    indices: &[u32],
    limit: usize,
) -> Result<(), Error> {
    match indices.iter().find(|&&index| index as usize >= limit) {
        Some(&index) => Err(Error::Index { what, index: index as usize, limit }),
        None => Ok(()),
    }
}
