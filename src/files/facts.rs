//! What files of vectors say of a row beside its vector.

use std::collections::BTreeMap;

/// The columns of a Parquet file that are read.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Lists of numbers, all of one length.
    pub vectors: &'a str,
    /// Of any type that can be written as text.
    pub id: &'a str,
    /// Of any string type.
    pub text: &'a str,
}

/// What else a file says of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Its text, where it has one and it was asked for.
    pub text: Option<String>,
}

/// Rows that are looked up, by their position.
pub type FactsByRow = BTreeMap<u64, Facts>;
