//! Stands in for Parquet where the feature is off.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::input::Error;
use super::{Columns, FactsByRow};

/// Cannot be made.
pub(super) enum Table {}

pub(super) fn has_column(path: &Path, _: &str) -> Result<bool, Error> {
    Err(Error::NoParquet { place: path.display().to_string() })
}

impl Table {
    pub(super) fn open(path: &Path, _: Columns<'_>) -> Result<Self, Error> {
        Err(Error::NoParquet { place: path.display().to_string() })
    }

    pub(super) fn dim(&self) -> usize {
        match *self {}
    }

    pub(super) fn for_each_batch(
        &self,
        _: usize,
        _: &mut dyn FnMut(Vec<f32>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match *self {}
    }

    pub(super) fn check_texts(&self) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn facts(&self, _: &BTreeSet<u64>, _: bool) -> Result<FactsByRow, Error> {
        match *self {}
    }
}
