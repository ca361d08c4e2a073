//! Stands in for the hub where the feature is off.

use super::error::{Error, HubError};
use super::options::{HubOptions, Pulled};
use super::store::Store;

/// A hub that this build cannot reach.
pub struct Hub;

impl Hub {
    /// Always succeeds.
    ///
    /// # Errors
    /// Never.
    pub fn new(_: &HubOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always: the feature `hub` is off.
    pub fn pull(
        &self,
        _: &Store,
        _: &str,
        _: Option<&str>,
        _: bool,
        _: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Pulled, Error> {
        Err(HubError::NotBuilt.into())
    }
}
