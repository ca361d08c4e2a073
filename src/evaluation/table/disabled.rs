//! Stands in for Parquet where the feature is off.

use std::path::Path;

use crate::Error;
use crate::evaluation::run::Run;
use crate::results;
use crate::results::Destination;

/// Refuses.
///
/// # Errors
/// Always: this build has no Parquet.
pub fn write_runs(_: Destination, _: &[Run]) -> Result<(), Error> {
    Err(results::Error::NotBuilt("parquet").into())
}

/// Refuses.
///
/// # Errors
/// Always: this build has no Parquet.
pub fn read_runs(_: &Path) -> Result<Vec<Run>, Error> {
    Err(results::Error::NotBuilt("parquet").into())
}
