//! Stands in for Parquet where the feature is off.

use super::chunks::ChunkSink;
use super::matches::MatchSink;
use super::rows::Sink;
use super::{Destination, Error};

pub(super) fn open(_: Destination, _: usize) -> Result<Box<dyn Sink>, Error> {
    Err(Error::NotBuilt("parquet"))
}

pub(super) fn open_chunks(_: Destination, _: Option<usize>) -> Result<Box<dyn ChunkSink>, Error> {
    Err(Error::NotBuilt("parquet"))
}

pub(super) fn open_matches(_: Destination, _: bool) -> Result<Box<dyn MatchSink>, Error> {
    Err(Error::NotBuilt("parquet"))
}
