//! Runs as a Parquet table: one row for each item and metric, with columns run, dataset, item,
//! metric and value.

#[cfg(not(feature = "parquet"))]
#[path = "disabled.rs"]
mod form;
#[cfg(feature = "parquet")]
#[path = "enabled.rs"]
mod form;

pub use form::{read_runs, write_runs};
