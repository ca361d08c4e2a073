//! The embedding lookup, and the norm behind it.

use candle_core::Tensor;

use super::super::embed::{Embed, TableWeights, Tokens};
use super::super::error::Error;
use super::exec::CandleExec;
use super::norm::Norm;

/// Embedding tables, `[entries, H]` each.
pub struct Tables {
    word: Tensor,
    position: Option<Tensor>,
    token_type: Option<Tensor>,
}

impl Embed for CandleExec {
    type Tables = Tables;

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        let optional = |table: Option<&[f32]>| {
            table.map(|table| self.tensor(table, weights.hidden)).transpose()
        };
        Ok(Tables {
            word: self.tensor(weights.word, weights.hidden)?,
            position: optional(weights.position)?,
            token_type: optional(weights.token_type)?,
        })
    }

    fn embed_norm(
        &self,
        tables: &Tables,
        norm: Option<&Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Tensor, Error> {
        let mut sum = self.lookup(&tables.word, "token id", tokens.ids)?;
        if let Some(table) = &tables.token_type {
            sum = (sum + self.lookup(table, "token type", tokens.type_ids)?)?;
        }
        if let Some(table) = &tables.position {
            sum = (sum + self.lookup(table, "position", tokens.positions)?)?;
        }
        norm.map_or(Ok(sum.clone()), |norm| norm.apply(&sum))
    }
}
