//! The embedding lookup, and the norm behind it.

use super::super::embed::{Embed, TableWeights, Tokens};
use super::super::error::{Error, check_len, whole_rows};
use super::buffer::{Buffer, Rows};
use super::exec::CpuExec;
use super::norm::{BLOCK_ROWS, Norm, add};
use super::simd::{Op, Simd};

/// Embedding tables, `[entries, H]` each.
pub struct Tables {
    hidden: usize,
    word: Vec<f32>,
    position: Option<Vec<f32>>,
    token_type: Option<Vec<f32>>,
}

impl Tables {
    /// Row `index` of one of the tables.
    fn row<'a>(
        &self,
        what: &'static str,
        table: &'a [f32],
        index: u32,
    ) -> Result<&'a [f32], Error> {
        let (index, hidden) = (index as usize, self.hidden);
        let limit = table.len() / hidden;
        let row = table.get(index * hidden..(index + 1) * hidden);
        row.ok_or(Error::Index { what, index, limit })
    }
}

impl Embed for CpuExec {
    type Tables = Tables;

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        for table in [Some(weights.word), weights.position, weights.token_type].iter().flatten() {
            whole_rows("embeddings", table.len(), weights.hidden)?;
        }
        Ok(Tables {
            hidden: weights.hidden,
            word: weights.word.to_vec(),
            position: weights.position.map(<[f32]>::to_vec),
            token_type: weights.token_type.map(<[f32]>::to_vec),
        })
    }

    fn embed_norm(
        &self,
        tables: &Tables,
        norm: Option<&Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Buffer, Error> {
        let hidden = tables.hidden;
        norm.map_or(Ok(()), |norm| norm.check_columns(hidden))?;
        check_len("token types", tokens.type_ids.len(), tokens.ids.len())?;
        check_len("positions", tokens.positions.len(), tokens.ids.len())?;
        let mut output = Buffer::take(&self.arena, tokens.ids.len(), hidden, self.format());
        output.rows_mut().for_each_block(BLOCK_ROWS, &|rows| {
            self.isa.run(SumRows { tables, norm, tokens, rows })
        })?;
        Ok(output)
    }
}

/// Sums and normalises the table rows of a block of tokens.
struct SumRows<'a, 'b> {
    tables: &'a Tables,
    norm: Option<&'a Norm>,
    tokens: Tokens<'a>,
    rows: Rows<'b>,
}

impl Op for SumRows<'_, '_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) -> Result<(), Error> {
        let Self { tables, norm, tokens, mut rows } = self;
        for index in 0..rows.len {
            let token = rows.first + index;
            let row = rows.row(index);
            row.copy_from_slice(tables.row("token id", &tables.word, tokens.ids[token])?);
            if let Some(table) = &tables.token_type {
                add(simd, row, tables.row("token type", table, tokens.type_ids[token])?);
            }
            if let Some(table) = &tables.position {
                add(simd, row, tables.row("position", table, tokens.positions[token])?);
            }
            if let Some(norm) = norm {
                norm.apply(simd, row);
            }
            rows.narrow(simd, index);
        }
        Ok(())
    }
}
