//! The embedding lookup, and the norm behind it.

use std::sync::Arc;

use super::super::embed::{Embed, TableWeights, Tokens};
use super::super::error::{Error, check_indices, check_len, whole_rows};
use super::buffer::{Buffer, add_wide, take};
use super::dtype::suffix;
use super::exec::CudaExec;
use super::grid::by_warps;
use super::launch::launch;
use super::memory::Memory;
use super::norm::{Norm, NormArgument};

/// Embedding tables, `[entries, hidden]` each.
pub struct Tables {
    word: Table,
    position: Option<Table>,
    token_type: Option<Table>,
    hidden: usize,
}

/// `[entries, hidden]` in the working dtype.
struct Table {
    values: Memory,
    entries: usize,
}

impl Embed for CudaExec {
    type Tables = Tables;

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        let hidden = weights.hidden;
        let table = |values: &[f32]| {
            let entries = whole_rows("embeddings", values.len(), hidden)?;
            Ok::<_, Error>(Table {
                values: Memory::holding_as(&self.lane.stream, self.dtype, values)?,
                entries,
            })
        };
        Ok(Tables {
            word: table(weights.word)?,
            position: weights.position.map(table).transpose()?,
            token_type: weights.token_type.map(table).transpose()?,
            hidden,
        })
    }

    fn embed_norm(
        &self,
        tables: &Tables,
        norm: Option<&Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Buffer, Error> {
        let rows = tokens.ids.len();
        if let Some(norm) = norm {
            check_len("norm", norm.len, tables.hidden)?;
        }
        let send = |what: &'static str, table: Option<&Table>, indices: &[u32]| {
            let Some(table) = table else { return Ok::<_, Error>((0, None)) };
            check_len(what, indices.len(), rows)?;
            check_indices(what, indices, table.entries)?;
            Ok((table.values.pointer(), Some(self.lane.upload_once(what, indices)?)))
        };
        let (word, ids) = send("token id", Some(&tables.word), tokens.ids)?;
        let (position, positions) = send("position", tables.position.as_ref(), tokens.positions)?;
        let (token_type, types) = send("token type", tables.token_type.as_ref(), tokens.type_ids)?;
        let at = |sent: &Option<Arc<Memory>>| sent.as_ref().map_or(0, |sent| sent.pointer());
        let mut output = take(&self.lane, rows, tables.hidden, self.dtype)?;
        let wide = add_wide(&self.lane, &mut output)?;
        if rows == 0 {
            return Ok(output);
        }
        let norm = norm.map_or(NormArgument::NONE, Norm::argument);
        let (grid, threads, shared) = by_warps(rows, tables.hidden);
        let name = format!("embed_norm_{}", suffix(self.dtype));
        // SAFETY: every index is within its table and there is one a token, as `send` has checked;
        // tables, output and norm have `hidden` columns, `wide` is the output in f32 or null.
        unsafe {
            launch!(&self.lane, &name, grid, threads, shared;
                &at(&ids), &at(&types), &at(&positions), &word, &position, &token_type, &norm,
                &output.pointer(), &wide, &(rows as u32), &(tables.hidden as u32))
        }?;
        Ok(output)
    }
}
