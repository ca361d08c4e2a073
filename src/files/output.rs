//! Records out, in the format that is chosen.

use super::destination::Destination;
use super::error::Error;
use super::format::Format;
use super::record::{Field, Writer};
use super::{jsonl, npy, parquet, text};

/// A writer of `format` for records of `fields`.
///
/// # Errors
/// When this build does not have the format, it has no place for a field, or its first bytes cannot
/// be written.
pub fn open_writer(
    format: Format,
    destination: Destination,
    fields: &[Field],
) -> Result<Box<dyn Writer>, Error> {
    match format {
        Format::Jsonl => Ok(jsonl::open(destination)),
        Format::Parquet => parquet::open(destination, fields),
        Format::Npy => npy::open(destination, fields),
        Format::Text => Ok(text::open(destination)),
    }
}
