//! A text of an input.

use super::error::Error;

/// One text of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id, or for whole files their path.
    pub id: Option<String>,
    /// All of it, without the mark.
    pub text: String,
    /// What stands before the text in a file that is one document: a byte order mark, or nothing.
    pub mark: &'static str,
    /// Its share of the input's bytes, for progress.
    pub bytes: u64,
}

/// The documents of an input in order, each or what is wrong with it.
pub type Documents = Box<dyn Iterator<Item = Result<Document, Error>> + Send>;
