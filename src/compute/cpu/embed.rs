//! The embedding lookup, and the norm behind it.

use super::super::embed::{Embed, TableWeights, Tokens};
use super::super::error::{Error, check_len};
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
    /// The rows that are summed for `token`; none where there is no such table.
    fn rows(&self, tokens: Tokens<'_>, token: usize) -> Result<[&[f32]; 3], Error> {
        let token_types = self.token_type.as_deref();
        let positions = self.position.as_deref();
        Ok([
            entry("token id", Some(&self.word), tokens.ids[token], self.hidden)?,
            entry("token type", token_types, tokens.type_ids[token], self.hidden)?,
            entry("position", positions, tokens.positions[token], self.hidden)?,
        ])
    }
}

/// Row `index` of a table; empty where there is none.
fn entry<'a>(
    what: &'static str,
    table: Option<&'a [f32]>,
    index: u32,
    hidden: usize,
) -> Result<&'a [f32], Error> {
    let Some(table) = table else { return Ok(&[]) };
    let index = index as usize;
    table.get(index * hidden..(index + 1) * hidden).ok_or(Error::Index {
        what,
        index,
        limit: table.len() / hidden,
    })
}

impl Embed for CpuExec {
    type Tables = Tables;

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        let hidden = weights.hidden.max(1);
        for table in [Some(weights.word), weights.position, weights.token_type].iter().flatten() {
            check_len("embeddings beyond whole rows", table.len() % hidden, 0)?;
        }
        Ok(Tables {
            hidden,
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
            let [word, token_type, position] = tables.rows(tokens, rows.first + index)?;
            let row = rows.row(index);
            row.copy_from_slice(word);
            add(simd, row, token_type);
            add(simd, row, position);
            if let Some(norm) = norm {
                norm.apply(simd, row);
            }
            rows.narrow(simd, index);
        }
        Ok(())
    }
}
