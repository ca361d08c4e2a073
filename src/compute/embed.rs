//! Embedding tables and the tokens that are looked up in them.

use super::error::Error;
use super::norm::Norms;

/// Embedding tables, `[entries, H]` each, which are summed for every token.
#[derive(Debug, Clone, Copy)]
pub struct TableWeights<'a> {
    /// Columns of every table.
    pub hidden: usize,
    /// `[vocabulary, H]` f32.
    pub word: &'a [f32],
    /// `[positions, H]` f32; models with rotary positions have none.
    pub position: Option<&'a [f32]>,
    /// `[types, H]` f32.
    pub token_type: Option<&'a [f32]>,
}

/// The tokens of a packed batch, `[T]` each.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Vocabulary indices.
    pub ids: &'a [u32],
    /// Segment indices.
    pub type_ids: &'a [u32],
    /// Position of each token in its sequence.
    pub positions: &'a [u32],
}

/// The lookup of tokens.
pub trait Embed: Norms {
    /// Embedding tables.
    type Tables: Send + Sync;

    /// Takes embedding tables.
    ///
    /// # Errors
    /// When a table is no multiple of the hidden size.
    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Self::Tables, Error>;

    /// Sums the tables' rows of every token, normalised where there is a norm: `[T, H]`.
    ///
    /// # Errors
    /// When an index lies outside its table.
    fn embed_norm(
        &self,
        tables: &Self::Tables,
        norm: Option<&Self::Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Self::Buffer, Error>;
}
