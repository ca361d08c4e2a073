//! Stands in for Parquet where the feature is off.

use std::collections::BTreeSet;
use std::iter::Empty;
use std::path::Path;

use super::destination::Destination;
use super::document::Documents;
use super::error::Error;
use super::facts::{Columns, FactsByRow};
use super::record::{Field, Value, Writer};

/// Cannot be made.
pub(super) enum VectorTable {}

pub(super) fn documents(_: &Path, place: String, _: &str, _: &str) -> Result<Documents, Error> {
    Err(Error::NoParquet { place })
}

pub(super) fn has_column(path: &Path, _: &str) -> Result<bool, Error> {
    Err(Error::NoParquet { place: path.display().to_string() })
}

/// Refuses.
///
/// # Errors
/// Always: this build has no Parquet.
pub fn read_table(path: &Path, _: &[Field], _: &mut dyn FnMut(&[Value<'_>])) -> Result<(), Error> {
    Err(Error::NoParquet { place: path.display().to_string() })
}

pub(super) fn open(_: Destination, _: &[Field]) -> Result<Box<dyn Writer>, Error> {
    Err(Error::NotBuilt("parquet"))
}

impl VectorTable {
    pub(super) fn open(path: &Path, _: Columns<'_>) -> Result<Self, Error> {
        Err(Error::NoParquet { place: path.display().to_string() })
    }

    pub(super) fn dim(&self) -> usize {
        match *self {}
    }

    pub(super) fn batches(&self, _: usize) -> Result<Empty<Result<Vec<f32>, Error>>, Error> {
        match *self {}
    }

    pub(super) fn check_texts(&self) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn facts(&self, _: &BTreeSet<u64>, _: bool) -> Result<FactsByRow, Error> {
        match *self {}
    }
}
