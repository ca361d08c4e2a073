//! A unit and what stands before it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What stands between a unit and the one before it, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// A cut is forbidden: within a fenced block, between the rows of a table, right after a
    /// heading. Only where no chunk has room for a run of joined units it is opened.
    Joined,
    /// A place within a sentence that alone is over the limit of tokens.
    Piece,
    /// The end of a sentence, or of a phrase in a script without stops.
    Sentence,
    /// A new line: an item of a list, a verse, a turn of a conversation, code after text.
    Line,
    /// A blank line, or a rule.
    Paragraph,
    /// A heading follows.
    Heading,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// A sentence, a heading, a line of code, a row of a table.
    #[default]
    Sentence,
    /// The largest that fits of: all under a heading, a paragraph, a line, a sentence.
    Recursive,
    /// As many tokens as there may be, up to a word's start.
    Tokens,
}

/// A run of text that is never cut again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Bytes of the text.
    pub bytes: Range<usize>,
    /// Tokens of the text whose first visible byte is in it, special tokens not counted.
    pub tokens: Range<usize>,
    /// What stands between it and the unit before; of the first, what the text begins with.
    pub gap: Gap,
}
